//! Power cuts at any operation, again and again, against a list of what was promised.

use bytes::Bytes;
use journal::storage::MemoryStorage;
use journal::{ClaimError, Cursor, Lsn};
use proptest::prelude::*;

use crate::support::*;

/// One life of the process, until the power is cut.
#[derive(Clone, Debug)]
struct Life {
    /// Changing operations on the disk until the cut.
    operations: u64,
    /// What the disk keeps of what was not synced.
    seed: u64,
    /// Sizes of the entries that it tries to append.
    sizes: Vec<usize>,
    /// How many entries are submitted before it waits.
    burst: usize,
    /// Whether it trims at what is durable half way.
    trims: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let size = prop_oneof![4 => 0usize..9000, 1 => Just(4032usize), 1 => 30_000usize..200_000];
    let life = (0u64..250, any::<u64>(), prop::collection::vec(size, 0..40), 1usize..12, any::<bool>());
    let life = life.prop_map(|(operations, seed, sizes, burst, trims)| Life {
        operations,
        seed,
        sizes,
        burst,
        trims,
    });
    prop::collection::vec(life, 1..8)
}

/// What a log must and may hold.
#[derive(Default)]
struct Promises {
    entries: Vec<Bytes>,
    /// How many of them were told durable.
    durable: u64,
    /// The checkpoint that the last trim relied on.
    checkpoint: Option<Cursor>,
    epoch: u64,
}

impl Promises {
    fn live(&mut self, storage: &MemoryStorage, life: &Life) {
        storage.cut_power_after(life.operations);
        self.epoch += 1;
        let journal = file_journal(storage);
        match try_claim(&journal, self.epoch, self.checkpoint) {
            Ok(mut claim) => {
                self.check(&mut claim);
                self.append(&mut claim, life);
            }
            Err(ClaimError::Storage { .. }) => {}
            Err(other) => panic!("a crash is no damage: {other}"),
        }
        drop(journal);
        storage.crash(life.seed);
    }

    /// The claim has all that was durable, nothing that was never written, and decides on the rest.
    fn check(&mut self, claim: &mut journal::Claim) {
        let tail = claim.tail.0;
        assert!(tail >= self.durable, "{} were durable, {tail} are there", self.durable);
        assert!(tail <= self.entries.len() as u64, "only {} were ever submitted", self.entries.len());
        self.entries.truncate(tail as usize);
        self.durable = tail;
        loop {
            match claim.reader.next() {
                Ok(Some(entry)) => {
                    assert_eq!(entry.bytes, self.entries[entry.lsn.0 as usize - 1], "entry {}", entry.lsn);
                    if entry.lsn.0 == tail {
                        break;
                    }
                }
                Ok(None) => break,
                Err(journal::ReadError::Storage { .. }) => break, // The power went while reading.
                Err(other) => panic!("a crash is no damage: {other}"),
            }
        }
    }

    fn append(&mut self, claim: &mut journal::Claim, life: &Life) {
        for burst in life.sizes.chunks(life.burst) {
            for &bytes in burst {
                let lsn = self.entries.len() as u64 + 1;
                let seed = lsn * 1000 + self.epoch;
                self.entries.push(payload(seed, bytes));
                claim.writer.append(Lsn(lsn), self.entries[lsn as usize - 1].clone());
            }
            let Some(durable) = settle(&*claim.writer, self.entries.len() as u64).durable() else { break };
            self.durable = durable.0;
            if life.trims && durable.0 > 4 {
                let checkpoint = Lsn(durable.0 / 2);
                self.checkpoint = Some(claim.writer.cursor(checkpoint));
                claim.writer.trim(checkpoint.next(), &[Lsn(2)..=Lsn(2)]);
            }
        }
        if let journal::State::Lost { durable, .. } = claim.writer.state() {
            self.durable = self.durable.max(durable.0);
        }
    }
}

proptest! {
    // Threads race with the power cut, so a stored case would not replay the same way.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn durable_entries_survive_any_power_cut(lives in lives()) {
        let storage = MemoryStorage::new();
        let mut promises = Promises::default();
        for life in &lives {
            promises.live(&storage, life);
        }
        let last = Life { operations: u64::MAX, seed: 0, sizes: vec![1, 5000, 1], burst: 1, trims: false };
        promises.live(&storage, &last);
        prop_assert_eq!(promises.durable, promises.entries.len() as u64);
    }
}

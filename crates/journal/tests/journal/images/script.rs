//! What happens to a log before it is damaged.

use bytes::Bytes;
use journal::storage::MemoryStorage;
use journal::{Claim, Epoch, FileJournal, Journal, Lsn, Step, Writer};

use super::{behind, log, settle, stepped};
use crate::choices::Choices;

/// A log that was written and is in nobody's hands.
pub(crate) struct Written {
    pub(crate) storage: MemoryStorage,
    /// All that may be in it, from entry 1 on.
    pub(crate) payloads: Vec<Bytes>,
    /// The last checkpoint, from which it will be claimed.
    pub(crate) from: Lsn,
}

/// A log while it is written.
pub(crate) struct Script {
    storage: MemoryStorage,
    journal: FileJournal,
    writer: Option<Box<dyn Writer>>,
    payloads: Vec<Bytes>,
    checkpoint: Lsn,
    epoch: u64,
    /// Payloads so far, so that no two are the same.
    made: u64,
}

/// Around the borders of blocks and segments.
const SIZES: [usize; 10] = [10, 4000, 100, 4032, 4033, 0, 9000, 12_224, 12_225, 40_000];
/// Things that happen to a log.
const STEPS_MAX: usize = 40;

impl Script {
    pub(crate) fn run(choices: &mut Choices<'_>) -> Written {
        let storage = MemoryStorage::new();
        let journal = stepped(&storage);
        let mut script = Script {
            storage,
            journal,
            writer: None,
            payloads: Vec::new(),
            checkpoint: Lsn::ZERO,
            epoch: 0,
            made: 0,
        };
        script.claim();
        let steps = usize::from(choices.byte()) % STEPS_MAX;
        (0..steps).for_each(|_| script.step(choices));
        script.end(choices)
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0..=5 => self.append(choices.one_of(&SIZES)),
            6..=8 => settle(&self.journal),
            9 => drop(self.journal.step(&log(), Step::Write)),
            10..=11 => while self.journal.step(&log(), Step::Spares) {},
            12 => self.trim(choices),
            13 => self.close(),
            14 => self.lose_process(),
            _ => self.lose_power(choices.byte()),
        }
    }

    /// The bytes stay as they are: in peace, in the middle of a write, or after a loss of power.
    fn end(mut self, choices: &mut Choices<'_>) -> Written {
        let (ending, durable) = (choices.byte() % 4, self.durable());
        match ending {
            0 => settle(&self.journal),
            1 => self.close(),
            2 => self.storage.crash(u64::from(choices.byte())),
            _ => {}
        }
        // From the checkpoint, or from a later one that was not trimmed for.
        let later = u64::from(choices.byte()) % (durable.0 - self.checkpoint.0 + 1);
        let from = if choices.flag() { Lsn(self.checkpoint.0 + later) } else { self.checkpoint };
        Written { storage: self.storage, payloads: self.payloads, from }
    }

    fn durable(&self) -> Lsn {
        let state = self.writer.as_ref().map(|writer| writer.state());
        state.and_then(|state| state.durable()).expect("nothing has failed")
    }

    fn append(&mut self, bytes: usize) {
        self.made += 1;
        let payload = payload(self.made, bytes);
        self.payloads.push(payload.clone());
        let lsn = Lsn(self.payloads.len() as u64);
        self.writer.as_mut().expect("it is claimed").append(lsn, payload);
    }

    fn trim(&mut self, choices: &mut Choices<'_>) {
        let durable = self.durable();
        let more = u64::from(choices.byte()) % (durable.0 - self.checkpoint.0 + 1);
        self.checkpoint = Lsn(self.checkpoint.0 + more);
        let kept = Lsn(1 + u64::from(choices.byte()) % (durable.0 + 1));
        let keep = if choices.flag() { vec![kept..=kept] } else { Vec::new() };
        self.writer.as_mut().expect("it is claimed").trim(self.checkpoint.next(), &keep);
    }

    fn close(&mut self) {
        self.writer.take().expect("it is claimed").close();
        self.claim();
    }

    fn lose_process(&mut self) {
        self.writer = None;
        self.journal = stepped(&self.storage);
        self.claim();
    }

    fn lose_power(&mut self, seed: u8) {
        self.writer = None;
        self.storage.crash(u64::from(seed));
        self.journal = stepped(&self.storage);
        self.claim();
    }

    /// Also this claim has to find all that was durable, and nothing that was not appended.
    fn claim(&mut self) {
        self.epoch += 1;
        let claim = self.journal.claim(&log(), Epoch(self.epoch), behind(self.checkpoint));
        let Claim { mut reader, writer, tail, .. } = claim.expect("nothing was damaged");
        assert!(tail >= self.checkpoint && tail.0 <= self.payloads.len() as u64);
        for lsn in self.checkpoint.0 + 1..=tail.0 {
            let entry = reader.next().expect("it can be read").expect("an entry up to the tail");
            assert_eq!((entry.lsn, &entry.bytes), (Lsn(lsn), &self.payloads[lsn as usize - 1]));
        }
        self.payloads.truncate(tail.0 as usize);
        self.writer = Some(writer);
    }
}

/// Bytes that are like no others.
pub(crate) fn payload(number: u64, bytes: usize) -> Bytes {
    let mut payload = vec![number as u8 ^ 0x5a; bytes];
    for (at, byte) in number.to_le_bytes().into_iter().enumerate().take(bytes) {
        payload[at] = byte;
    }
    payload.into()
}

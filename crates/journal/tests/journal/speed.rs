//! How fast the file engine is on a real folder. Run it in release mode, on the disk in question:
//!
//! `TMPDIR=/that/disk cargo test --release -p journal --test journal speed -- --ignored --nocapture`

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::storage::DirectoryStorage;
use journal::{Claim, FileJournal, FileOptions, Lsn};

use crate::support::try_claim;

struct Bench {
    claim: Claim,
    woken: Arc<(Mutex<bool>, Condvar)>,
    last: u64,
    sealed: u64,
}

impl Bench {
    fn new(journal: &FileJournal) -> Bench {
        let mut claim = try_claim(journal, 1, None).unwrap();
        let woken = Arc::new((Mutex::new(false), Condvar::new()));
        let bell = woken.clone();
        claim.writer.watch(Arc::new(move || {
            *bell.0.lock().unwrap() = true;
            bell.1.notify_one();
        }));
        Bench { claim, woken, last: 0, sealed: 0 }
    }

    fn submit(&mut self, payload: &Bytes) {
        // As a checkpoint would, so that segments are recycled.
        if self.claim.writer.sealed_count() > self.sealed {
            self.sealed = self.claim.writer.sealed_count();
            self.claim.writer.trim(Lsn(self.last), &[]);
        }
        self.last += 1;
        self.claim.writer.append(Lsn(self.last), payload.clone());
    }

    fn wait_durable(&self, lsn: u64) {
        while self.claim.writer.state().durable().unwrap() < Lsn(lsn) {
            let mut woken = self.woken.0.lock().unwrap();
            while !std::mem::take(&mut *woken) {
                woken = self.woken.1.wait(woken).unwrap();
            }
        }
    }

    /// One at a time.
    fn latencies(&mut self, payload: &Bytes, count: usize) -> Vec<Duration> {
        let one = |_| {
            let start = Instant::now();
            self.submit(payload);
            self.wait_durable(self.last);
            start.elapsed()
        };
        let mut latencies: Vec<Duration> = (0..count).map(one).collect();
        latencies.sort_unstable();
        latencies
    }

    /// Two in flight: one is written while the next waits.
    fn megabytes_per_second(&mut self, payload: &Bytes, count: u64) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            self.submit(payload);
            self.wait_durable(self.last - 1);
        }
        self.wait_durable(self.last);
        count as f64 * payload.len() as f64 / 1e6 / start.elapsed().as_secs_f64()
    }
}

#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::new(Arc::new(DirectoryStorage::new(folder.path())), FileOptions::new(1));
    let mut bench = Bench::new(&journal);
    // Let the segments grow to their full size first.
    bench.megabytes_per_second(&vec![1; 500_000].into(), 300);
    for bytes in [4_000, 64_000, 500_000] {
        let payload = vec![1; bytes].into();
        let latencies = bench.latencies(&payload, 3000);
        let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_micros();
        let rate = bench.megabytes_per_second(&payload, (1_000_000_000 / bytes as u64).min(4000));
        println!(
            "{bytes:>7} B: one at a time p50 {} us, p99 {} us; two in flight {rate:.0} MB/s",
            at(0.5),
            at(0.99)
        );
    }
    let start = Instant::now();
    let (first, last) = (bench.claim.writer.segments()[0].first, Lsn(bench.last));
    let cursor = bench.claim.writer.cursor(first.previous());
    let claim = try_claim(&journal, 2, Some(cursor)).unwrap();
    println!("claim that looks through entries {first} to {last}: {:?}", start.elapsed());
    assert_eq!(claim.tail, last);
}

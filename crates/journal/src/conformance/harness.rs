//! What the checks share.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{BodyError, Claim, Cursor, Entry, Epoch, Journal, LogName, Lsn, ReadDone, State, Writer};

/// An engine under test.
pub trait Subject {
    /// A new journal without logs. It should have small segments, so that the checks fill some quickly.
    fn fresh() -> Self;

    /// The journal.
    fn journal(&self) -> &dyn Journal;

    /// Crashes the journal and starts it again on what has survived.
    fn restart(&mut self);
}

/// How long something expected may take before a check fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn log() -> LogName {
    LogName::new("log").expect("a plain name")
}

pub(super) fn claim(subject: &impl Subject, epoch: u64, from: Option<Cursor>) -> Claim {
    subject.journal().claim(&log(), Epoch(epoch), from).expect("the claim is granted")
}

/// A payload that tells which entry it is.
pub(super) fn payload(lsn: u64) -> Bytes {
    let bytes = 10 + lsn % 3000;
    (0..bytes).map(|at| (at * 7 + lsn * 13) as u8).collect::<Vec<u8>>().into()
}

/// Appends entries with their usual payloads.
pub(super) fn append(writer: &mut dyn Writer, lsns: std::ops::RangeInclusive<u64>) {
    lsns.for_each(|lsn| writer.append(Lsn(lsn), payload(lsn)));
}

/// Appends entries and waits until they are durable.
pub(super) fn append_durably(writer: &mut dyn Writer, lsns: std::ops::RangeInclusive<u64>) {
    let last = *lsns.end();
    append(writer, lsns);
    wait_durable(writer, last);
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

pub(super) fn wait_durable(writer: &dyn Writer, lsn: u64) {
    wait_until("durability", || match writer.state() {
        State::Durable(durable) => durable >= Lsn(lsn),
        end => panic!("the log ended: {end:?}"),
    });
}

/// Reads a log to its tail.
pub(super) fn replay(claim: &mut Claim) -> Vec<Entry> {
    let entries: Vec<Entry> =
        std::iter::from_fn(|| claim.reader.next().expect("the entry is whole")).collect();
    assert!(claim.reader.next().is_ok_and(|end| end.is_none()), "the end is the end");
    entries
}

/// Checks that a claim replays exactly these entries, with their usual payloads.
pub(super) fn check_replay(claim: &mut Claim, lsns: std::ops::RangeInclusive<u64>) {
    assert_eq!(claim.tail, Lsn(*lsns.end()));
    let entries = replay(claim);
    assert!(entries.iter().map(|entry| entry.lsn.0).eq(lsns), "entries without gap or repetition");
    entries.iter().for_each(|entry| assert_eq!(entry.bytes, payload(entry.lsn.0), "entry {}", entry.lsn));
}

/// Waits for the answers of this many reads; sorted by ticket.
pub(super) fn answers(writer: &mut dyn Writer, count: usize) -> Vec<ReadDone> {
    let mut done = Vec::new();
    wait_until("reads", || {
        writer.completed_reads(&mut done);
        done.len() >= count
    });
    assert_eq!(done.len(), count);
    done.sort_by_key(|done| done.ticket);
    done
}

/// Reads the whole of one entry that has its usual payload.
pub(super) fn read_whole(writer: &mut dyn Writer, lsn: u64) -> Result<Bytes, BodyError> {
    writer.read(lsn, Lsn(lsn), 0..payload(lsn).len() as u64);
    answers(writer, 1).remove(0).result
}

/// Appends until this many segments were sealed; gives the last entry.
pub(super) fn fill_segments(writer: &mut dyn Writer, mut last: u64, count: u64) -> u64 {
    let enough = writer.sealed_count() + count;
    while writer.sealed_count() < enough {
        last += 1;
        append_durably(writer, last..=last);
    }
    last
}

//! A journal that is listened to: what is appended, what is told durable, what a claim finds again.

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use journal::{
    Claim, ClaimError, Compaction, Cursor, Description, DestroyError, Entry, Epoch, FileJournal, Help,
    InFlight, Journal, LogName, Lsn, ReadDone, ReadError, Reader, Room, SegmentInfo, State, Wake, Writer,
};

use crate::violation::Violation;

/// What was written to the log, over all boots.
#[derive(Debug, Default)]
pub struct Tap {
    /// The payloads of all entries; entry 1 is the first.
    entries: Vec<Bytes>,
    /// The highest position that was ever told durable.
    told_durable: u64,
    violations: Vec<Violation>,
}

/// A tap that journal and simulation share.
pub type SharedTap = Arc<Mutex<Tap>>;

impl Tap {
    /// The last entry.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The highest position that was ever told durable.
    #[must_use]
    pub fn told_durable(&self) -> u64 {
        self.told_durable
    }

    /// The payload of an entry.
    #[must_use]
    pub fn entry(&self, lsn: u64) -> Option<Bytes> {
        self.entries.get(lsn.checked_sub(1)? as usize).cloned()
    }

    /// What was seen that must not be.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    fn claimed(&mut self, tail: u64) {
        if tail < self.told_durable || tail > self.appended() {
            let what = format!(
                "a claim found {tail} entries, of which {} were told durable and {} were written",
                self.told_durable,
                self.appended()
            );
            self.violations.push(Violation::new("P1", what));
        }
        self.entries.truncate(tail as usize);
        self.told_durable = tail;
    }

    fn replayed(&mut self, entry: &Entry) {
        if self.entry(entry.lsn.0).as_ref() != Some(&entry.bytes) {
            let what = format!("entry {} was replayed with other bytes than it was written with", entry.lsn);
            self.violations.push(Violation::new("P1", what));
        }
    }

    fn told(&mut self, state: &State) {
        let Some(durable) = state.durable() else { return };
        if durable.0 < self.told_durable || durable.0 > self.appended() {
            let what = format!("the journal tells {durable} durable after {}", self.told_durable);
            self.violations.push(Violation::new("P1", what));
        }
        self.told_durable = durable.0;
    }
}

/// Looks at a tap.
pub fn lock(tap: &SharedTap) -> MutexGuard<'_, Tap> {
    tap.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The journal of a node with a tap on it.
pub struct TappedJournal {
    journal: Arc<FileJournal>,
    tap: SharedTap,
}

impl TappedJournal {
    /// Listens to a journal.
    pub fn new(journal: Arc<FileJournal>, tap: SharedTap) -> Self {
        Self { journal, tap }
    }
}

impl Journal for TappedJournal {
    fn describe(&self) -> Description {
        self.journal.describe()
    }

    fn claim(&self, log: &LogName, epoch: Epoch, from: Option<Cursor>) -> Result<Claim, ClaimError> {
        let claim = self.journal.claim(log, epoch, from)?;
        lock(&self.tap).claimed(claim.tail.0);
        let Claim { reader, writer, tail, epoch_before } = claim;
        let reader = Box::new(TappedReader { reader, tap: self.tap.clone() });
        let writer = Box::new(TappedWriter { writer, tap: self.tap.clone() });
        Ok(Claim { reader, writer, tail, epoch_before })
    }

    fn destroy(&self, log: &LogName, epoch: Epoch) -> Result<(), DestroyError> {
        self.journal.destroy(log, epoch)
    }
}

struct TappedReader {
    reader: Box<dyn Reader>,
    tap: SharedTap,
}

impl Reader for TappedReader {
    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        let entry = self.reader.next()?;
        entry.iter().for_each(|entry| lock(&self.tap).replayed(entry));
        Ok(entry)
    }
}

struct TappedWriter {
    writer: Box<dyn Writer>,
    tap: SharedTap,
}

impl Writer for TappedWriter {
    fn append(&mut self, lsn: Lsn, payload: Bytes) {
        lock(&self.tap).entries.push(payload.clone());
        self.writer.append(lsn, payload);
    }

    fn append_lone(&mut self, lsn: Lsn, payload: Bytes) -> Option<Arc<dyn Help>> {
        lock(&self.tap).entries.push(payload.clone());
        self.writer.append_lone(lsn, payload)
    }

    fn state(&self) -> State {
        let state = self.writer.state();
        lock(&self.tap).told(&state);
        state
    }

    fn in_flight(&self) -> InFlight {
        self.writer.in_flight()
    }

    fn room(&self) -> Room {
        self.writer.room()
    }

    fn watch(&mut self, wake: Wake) {
        self.writer.watch(wake);
    }

    fn cursor(&self, lsn: Lsn) -> Cursor {
        self.writer.cursor(lsn)
    }

    fn read(&mut self, ticket: u64, lsn: Lsn, range: Range<u64>) {
        self.writer.read(ticket, lsn, range);
    }

    fn completed_reads(&mut self, out: &mut Vec<ReadDone>) {
        self.writer.completed_reads(out);
    }

    fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>]) {
        self.writer.trim(before, keep);
    }

    fn compact(&mut self, compaction: Compaction) {
        self.writer.compact(compaction);
    }

    fn compacted_count(&self) -> u64 {
        self.writer.compacted_count()
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.writer.segments()
    }

    fn sealed_count(&self) -> u64 {
        self.writer.sealed_count()
    }

    fn close(self: Box<Self>) -> State {
        self.writer.close()
    }
}

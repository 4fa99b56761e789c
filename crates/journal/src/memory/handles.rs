//! What a claim of a memory journal hands out.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::disk::{Disk, PendingRead};
use super::log::MemoryLog;
use super::{MemoryJournal, Shared};
use crate::{
    Cursor, Entry, InFlight, LogName, Lsn, ReadDone, ReadError, Reader, SegmentInfo, State, Wake, Writer,
};

pub(super) struct MemoryReader {
    entries: VecDeque<Entry>,
}

impl MemoryReader {
    pub(super) fn new(entries: VecDeque<Entry>) -> MemoryReader {
        MemoryReader { entries }
    }
}

impl Reader for MemoryReader {
    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        Ok(self.entries.pop_front())
    }
}

pub(super) struct MemoryWriter {
    shared: Arc<Shared>,
    log: LogName,
    session: u64,
    claimed_tail: Lsn,
    submitted: Lsn,
}

impl MemoryWriter {
    pub(super) fn new(shared: Arc<Shared>, log: LogName, session: u64, tail: Lsn) -> MemoryWriter {
        MemoryWriter { shared, log, session, claimed_tail: tail, submitted: tail }
    }

    fn with_log<T>(&self, work: impl FnOnce(&mut MemoryLog) -> T) -> T {
        work(self.shared.lock().log(&self.log))
    }

    fn is_settled(&self, disk: &mut Disk) -> bool {
        match disk.log(&self.log).state(self.session) {
            State::Durable(durable) => durable >= self.submitted,
            State::Fenced { .. } | State::Lost { .. } => true,
        }
    }
}

impl Writer for MemoryWriter {
    fn append(&mut self, lsn: Lsn, payload: Bytes) {
        assert_eq!(lsn, self.submitted.next(), "entries are appended in order, without a gap");
        assert!(payload.len() as u64 <= MemoryJournal::ENTRY_BYTES_MAX, "the entry is too large");
        self.submitted = lsn;
        let mut disk = self.shared.lock();
        let stamp = disk.next_submission();
        disk.log(&self.log).append(self.session, stamp, lsn, payload);
        self.shared.changed.notify_all();
    }

    fn state(&self) -> State {
        self.with_log(|log| log.state(self.session))
    }

    fn in_flight(&self) -> InFlight {
        self.with_log(|log| log.in_flight(self.session))
    }

    fn watch(&mut self, wake: Wake) {
        self.with_log(|log| log.watch(self.session, wake));
    }

    fn cursor(&self, lsn: Lsn) -> Cursor {
        Cursor::behind(lsn)
    }

    fn read(&mut self, ticket: u64, lsn: Lsn, range: Range<u64>) {
        let read = PendingRead { log: self.log.clone(), session: self.session, ticket, lsn, range };
        self.shared.lock().reads.push_back(read);
        self.shared.changed.notify_all();
    }

    fn completed_reads(&mut self, out: &mut Vec<ReadDone>) {
        self.with_log(|log| log.take_completed(self.session, out));
    }

    fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>]) {
        self.with_log(|log| log.trim(self.session, before, keep));
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.with_log(|log| log.segments())
    }

    fn sealed_count(&self) -> u64 {
        let durable = self.with_log(|log| log.durable);
        durable.0 / MemoryJournal::SEGMENT_ENTRIES - self.claimed_tail.0 / MemoryJournal::SEGMENT_ENTRIES
    }

    fn close(self: Box<Self>) -> State {
        let mut disk = self.shared.lock();
        while !self.is_settled(&mut disk) {
            if self.shared.manual {
                disk.log(&self.log).settle_oldest();
                continue;
            }
            disk = self.shared.changed.wait(disk).unwrap_or_else(PoisonError::into_inner);
        }
        disk.log(&self.log).state(self.session)
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.with_log(|log| log.leave(self.session));
    }
}

//! The caller's end of a claimed log.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Running;
use super::commit::CommitHelper;
use super::format::PAYLOAD_BYTES_MAX;
use super::session::lock;
use crate::{Compaction, Cursor, Help, InFlight, Lsn, ReadDone, Room, SegmentInfo, State, Wake, Writer};

pub(super) struct FileWriter {
    running: Arc<Running>,
    submitted: Lsn,
}

impl FileWriter {
    pub(super) fn new(running: Arc<Running>, tail: Lsn) -> FileWriter {
        FileWriter { running, submitted: tail }
    }
}

impl FileWriter {
    fn submit(&mut self, lsn: Lsn, payload: Bytes, quiet: bool) {
        assert_eq!(lsn, self.submitted.next(), "entries are appended in order, without a gap");
        assert!(
            payload.len() as u64 <= PAYLOAD_BYTES_MAX,
            "the entry is larger than {PAYLOAD_BYTES_MAX} bytes"
        );
        self.submitted = lsn;
        self.running.session.submit(lsn, payload, quiet);
    }
}

impl Writer for FileWriter {
    fn append(&mut self, lsn: Lsn, payload: Bytes) {
        self.submit(lsn, payload, false);
    }

    fn append_lone(&mut self, lsn: Lsn, payload: Bytes) -> Option<Arc<dyn Help>> {
        if !self.running.takes_help {
            self.append(lsn, payload);
            return None;
        }
        self.submit(lsn, payload, true);
        let (committer, session) = (self.running.committer.clone(), self.running.session.clone());
        Some(Arc::new(CommitHelper { committer, session }))
    }

    fn state(&self) -> State {
        self.running.session.state()
    }

    fn in_flight(&self) -> InFlight {
        self.running.session.in_flight()
    }

    fn room(&self) -> Room {
        self.running.session.room()
    }

    fn watch(&mut self, wake: Wake) {
        self.running.session.watch(Some(wake));
    }

    fn cursor(&self, lsn: Lsn) -> Cursor {
        Cursor::behind(lsn)
    }

    fn read(&mut self, ticket: u64, lsn: Lsn, range: Range<u64>) {
        self.running.bodies.ask(ticket, lsn, range);
    }

    fn completed_reads(&mut self, out: &mut Vec<ReadDone>) {
        self.running.bodies.take_done(out);
    }

    fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>]) {
        let session = &self.running.session;
        if session.has_ended() {
            return;
        }
        let freed = lock(&session.segments).trim(before, keep, session.durable());
        freed.iter().for_each(|freed| self.running.bodies.close(freed.name));
        if !freed.is_empty() {
            self.running.spares.condemn(freed);
        }
    }

    fn compact(&mut self, compaction: Compaction) {
        self.running.compactor.ask(compaction);
    }

    fn compacted_count(&self) -> u64 {
        self.running.session.compacted.load(Ordering::Acquire)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let session = &self.running.session;
        lock(&session.segments).infos(session.durable())
    }

    fn sealed_count(&self) -> u64 {
        self.running.session.sealed.load(Ordering::Acquire)
    }

    fn close(self: Box<Self>) -> State {
        self.running.drain();
        self.running.session.state()
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        self.running.stop();
        self.running.bodies.stop();
        // The wake may hold what holds this writer.
        self.running.session.watch(None);
    }
}

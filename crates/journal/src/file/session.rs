//! What the writer, those who commit and the claims of one log share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::format::{BLOCK_BYTES, HEADER_BYTES};
use super::segments::SegmentTable;
use crate::{Epoch, InFlight, LostReason, Lsn, Room, State, Wake};

/// One reign over a log: from a claim to the next.
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) segments: Mutex<SegmentTable>,
    pub(super) sealed: AtomicU64,
    /// Compactions that were done.
    pub(super) compacted: AtomicU64,
    queue: Mutex<Queue>,
    /// Nobody commits any more.
    left: Condvar,
    /// Has somebody commit what is queued; nothing where the owner of the journal does the steps.
    attendant: OnceLock<Wake>,
    durable: AtomicU64,
    submitted: AtomicU64,
    bytes_in_flight: AtomicU64,
    /// Room in the active segment.
    active_bytes: AtomicU64,
    /// Room in the files that can become segments.
    spare_bytes: AtomicU64,
    /// Room beyond them, as the storage has said.
    further_bytes: AtomicU64,
    /// Fenced or lost.
    end: OnceLock<State>,
    wake: Mutex<Option<Wake>>,
}

/// One entry on its way to the disk.
pub(super) struct Submission {
    pub(super) lsn: Lsn,
    pub(super) payload: Bytes,
}

#[derive(Default)]
struct Queue {
    submissions: Vec<Submission>,
    is_stopped: bool,
    /// Somebody was called who commits, and has not left.
    is_attended: bool,
    /// What was taken could not be written for want of room.
    lacks_room: bool,
    /// There may be room for that now.
    may_have_room: bool,
}

impl Queue {
    fn has_work(&self) -> bool {
        !self.submissions.is_empty() || self.lacks_room && self.may_have_room
    }
}

impl Session {
    pub(super) fn new(epoch: Epoch, tail: Lsn, segments: SegmentTable) -> Session {
        Session {
            epoch,
            segments: Mutex::new(segments),
            sealed: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            queue: Mutex::default(),
            left: Condvar::new(),
            attendant: OnceLock::new(),
            durable: AtomicU64::new(tail.0),
            submitted: AtomicU64::new(tail.0),
            bytes_in_flight: AtomicU64::new(0),
            active_bytes: AtomicU64::new(0),
            spare_bytes: AtomicU64::new(0),
            further_bytes: AtomicU64::new(0),
            end: OnceLock::new(),
            wake: Mutex::default(),
        }
    }

    /// Sets who has what is queued committed: called when there is something and nobody is at it.
    pub(super) fn attend_by(&self, attendant: Wake) {
        let is_first = self.attendant.set(attendant).is_ok();
        debug_assert!(is_first, "a log has one attendant");
    }

    /// Queues an entry. A quiet submission calls nobody: whoever submits it commits it.
    pub(super) fn submit(&self, lsn: Lsn, payload: Bytes, quiet: bool) {
        if self.has_ended() {
            return;
        }
        self.submitted.store(lsn.0, Ordering::Release);
        self.bytes_in_flight.fetch_add(payload.len() as u64, Ordering::Relaxed);
        let mut queue = lock(&self.queue);
        queue.submissions.push(Submission { lsn, payload });
        if !quiet {
            self.call(queue);
        }
    }

    /// Calls somebody who commits, if there is work and nobody is at it.
    fn call(&self, mut queue: MutexGuard<'_, Queue>) {
        let Some(attendant) = self.attendant.get() else { return };
        if queue.is_attended || queue.is_stopped || !queue.has_work() {
            return;
        }
        queue.is_attended = true;
        // Outside the lock: the thread that wakes up wants it first of all.
        drop(queue);
        attendant();
    }

    /// The one who was called stays while there is work. False when it has left: then another is called for what comes.
    pub(super) fn stay(&self) -> bool {
        let queue = lock(&self.queue);
        let stays = !queue.is_stopped && queue.has_work();
        if !stays {
            self.leave(queue);
        }
        stays
    }

    /// The one who was called will not come, or has gone without a word.
    pub(super) fn abandon(&self) {
        self.leave(lock(&self.queue));
    }

    fn leave(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.is_attended = false;
        self.left.notify_all();
    }

    /// Waits until nobody commits who was called.
    pub(super) fn wait_unattended(&self) {
        let mut queue = lock(&self.queue);
        while queue.is_attended {
            queue = self.left.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Moves what was submitted to the end of `taken`.
    pub(super) fn take(&self, taken: &mut Vec<Submission>) {
        let mut queue = lock(&self.queue);
        (queue.lacks_room, queue.may_have_room) = (false, false);
        taken.append(&mut queue.submissions);
    }

    /// What was taken could not be written for want of room: it is tried again when there may be some.
    pub(super) fn lack_room(&self) {
        lock(&self.queue).lacks_room = true;
    }

    /// Whether something was submitted and not taken.
    pub(super) fn has_queued(&self) -> bool {
        !lock(&self.queue).submissions.is_empty()
    }

    /// Calls somebody if something was submitted quietly and is still there.
    pub(super) fn rouse(&self) {
        self.call(lock(&self.queue));
    }

    /// Notes what there is room for in the active segment.
    pub(super) fn set_active_bytes(&self, bytes: u64) {
        self.active_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes what there is room for besides, and has tried again what there was no room for if it is more. Whether it is news for those who
    /// watch.
    pub(super) fn set_spare_bytes(&self, spare_bytes: u64, further_bytes: u64) -> bool {
        let before = self.spare_bytes.swap(spare_bytes, Ordering::Relaxed);
        let further_before = self.further_bytes.swap(further_bytes, Ordering::Relaxed);
        if spare_bytes > before {
            self.try_again();
        }
        (before, further_before) != (spare_bytes, further_bytes)
    }

    /// Has what there was no room for tried again.
    pub(super) fn try_again(&self) {
        let mut queue = lock(&self.queue);
        queue.may_have_room = true;
        self.call(queue);
    }

    pub(super) fn room(&self) -> Room {
        let InFlight { entries, bytes } = self.in_flight();
        let under_way = bytes + entries * (HEADER_BYTES as u64 + BLOCK_BYTES);
        let files = self.active_bytes.load(Ordering::Relaxed) + self.spare_bytes.load(Ordering::Relaxed);
        Room {
            sure_bytes: files.saturating_sub(under_way),
            further_bytes: self.further_bytes.load(Ordering::Relaxed),
        }
    }

    /// Nothing more is begun.
    pub(super) fn stop(&self) {
        lock(&self.queue).is_stopped = true;
    }

    /// Whether nothing more is begun.
    pub(super) fn is_stopped(&self) -> bool {
        lock(&self.queue).is_stopped
    }

    /// Tells the world that everything up to `lsn` is durable.
    pub(super) fn publish(&self, lsn: Lsn, payload_bytes: u64) {
        self.bytes_in_flight.fetch_sub(payload_bytes, Ordering::Relaxed);
        self.durable.store(lsn.0, Ordering::Release);
        self.wake();
    }

    pub(super) fn submitted(&self) -> Lsn {
        Lsn(self.submitted.load(Ordering::Acquire))
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn state(&self) -> State {
        self.end.get().cloned().unwrap_or_else(|| State::Durable(self.durable()))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    pub(super) fn in_flight(&self) -> InFlight {
        if self.has_ended() {
            return InFlight::default();
        }
        // In this order, so that the difference is never negative.
        let durable = self.durable();
        let entries = self.submitted.load(Ordering::Acquire) - durable.0;
        InFlight { entries, bytes: self.bytes_in_flight.load(Ordering::Relaxed) }
    }

    pub(super) fn lose(&self, reason: LostReason) {
        let (durable, submitted) = (self.durable(), self.submitted());
        tracing::error!(%reason, durable = durable.0, submitted = submitted.0, "the journal accepts nothing more");
        self.end(State::Lost { durable, submitted, reason: Arc::new(reason) });
    }

    pub(super) fn fence(&self, by: Epoch) {
        self.end(State::Fenced { by });
    }

    fn end(&self, state: State) {
        let is_first = self.end.set(state).is_ok();
        self.stop();
        if is_first {
            self.wake();
        }
    }

    pub(super) fn watch(&self, wake: Option<Wake>) {
        *lock(&self.wake) = wake;
    }

    /// Calls the one who watches, with no lock held: it may well submit.
    pub(super) fn wake(&self) {
        let wake = lock(&self.wake).clone();
        if let Some(wake) = wake {
            wake();
        }
    }
}

/// A lock that outlives a panic elsewhere: what it protects is whole between any two statements here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

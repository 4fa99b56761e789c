//! What the writer, the commit thread and the claims of one log share.

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
    arrived: Condvar,
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
    order: Order,
    is_waiting: bool,
    /// There may be room for what was taken and could not be written.
    may_have_room: bool,
}

/// What the commit thread is to do besides committing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    GoOn,
    /// Commit what was submitted, then end.
    Drain,
    /// End after the commit that is under way.
    Stop,
}

impl Session {
    pub(super) fn new(epoch: Epoch, tail: Lsn, segments: SegmentTable) -> Session {
        Session {
            epoch,
            segments: Mutex::new(segments),
            sealed: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            queue: Mutex::default(),
            arrived: Condvar::new(),
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

    /// Queues an entry. A quiet submission does not wake the commit thread: whoever submits it commits it.
    pub(super) fn submit(&self, lsn: Lsn, payload: Bytes, quiet: bool) {
        if self.has_ended() {
            return;
        }
        self.submitted.store(lsn.0, Ordering::Release);
        self.bytes_in_flight.fetch_add(payload.len() as u64, Ordering::Relaxed);
        let is_waiting = {
            let mut queue = lock(&self.queue);
            queue.submissions.push(Submission { lsn, payload });
            queue.is_waiting
        };
        // Outside the lock: the thread that wakes up wants it first of all.
        if is_waiting && !quiet {
            self.arrived.notify_one();
        }
    }

    /// Waits until something was submitted, there may be room again, or an order came.
    pub(super) fn wait(&self) -> Order {
        let mut queue = lock(&self.queue);
        while queue.submissions.is_empty() && queue.order == Order::GoOn && !queue.may_have_room {
            queue.is_waiting = true;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.is_waiting = false;
        }
        queue.may_have_room = false;
        queue.order
    }

    /// Moves what was submitted to the end of `taken`.
    pub(super) fn take(&self, taken: &mut Vec<Submission>) {
        taken.append(&mut lock(&self.queue).submissions);
    }

    /// Whether something was submitted and not taken.
    pub(super) fn has_queued(&self) -> bool {
        !lock(&self.queue).submissions.is_empty()
    }

    /// Wakes the commit thread if something was submitted quietly and is still there.
    pub(super) fn rouse(&self) {
        let has_work = {
            let queue = lock(&self.queue);
            queue.is_waiting && !queue.submissions.is_empty()
        };
        if has_work {
            self.arrived.notify_one();
        }
    }

    /// Notes what there is room for in the active segment.
    pub(super) fn set_active_bytes(&self, bytes: u64) {
        self.active_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes what there is room for besides, and tells the commit thread if it is more. Whether it is news for those who
    /// watch.
    pub(super) fn set_spare_bytes(&self, spare_bytes: u64, further_bytes: u64) -> bool {
        let before = self.spare_bytes.swap(spare_bytes, Ordering::Relaxed);
        let further_before = self.further_bytes.swap(further_bytes, Ordering::Relaxed);
        if spare_bytes > before {
            self.try_again();
        }
        (before, further_before) != (spare_bytes, further_bytes)
    }

    /// Has the commit thread try again to write what there was no room for.
    pub(super) fn try_again(&self) {
        lock(&self.queue).may_have_room = true;
        self.arrived.notify_one();
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

    pub(super) fn order(&self, order: Order) {
        let mut queue = lock(&self.queue);
        if queue.order != Order::Stop {
            queue.order = order;
        }
        self.arrived.notify_one();
    }

    /// Whether the commit thread was told to end.
    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.queue).order == Order::Stop
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
        self.order(Order::Stop);
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

/// Set once when a thread has ended, however it did.
#[derive(Default)]
pub(super) struct Latch {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    pub(super) fn set(&self) {
        *lock(&self.is_set) = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut is_set = lock(&self.is_set);
        while !*is_set {
            is_set = self.changed.wait(is_set).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

//! What all threads write into: the ledgers and the counters.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use testkit::amqp::PeerError;

use crate::crash::body::MessageId;
use crate::crash::messages::{ConsumerId, QueueLedger};
use crate::crash::tasks::TaskLedger;
use crate::crash::tokens::TokenLedger;
use crate::crash::topology::{MESSAGE_QUEUES, destinations};

/// The ledgers of all queues and tokens, over all rounds.
pub(in crate::crash) struct Shared {
    queues: Vec<Mutex<QueueLedger>>,
    tokens: Mutex<TokenLedger>,
    tasks: Mutex<TaskLedger>,
    /// The next number of each publisher.
    numbers: Mutex<std::collections::HashMap<u32, u64>>,
    consumers: AtomicU64,
    ending: AtomicU8,
    pub(in crate::crash) counters: Counters,
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crash) enum Ending {
    /// It does not yet.
    NotYet,
    /// The broker is killed: all connections end with it, in one moment.
    AtOnce,
    /// Connections are cut one by one, or the broker closes them.
    Gradually,
}

/// What happened in a round.
#[derive(Debug, Default)]
pub(in crate::crash) struct Counters {
    pub(in crate::crash) published: AtomicU64,
    pub(in crate::crash) confirmed: AtomicU64,
    pub(in crate::crash) delivered: AtomicU64,
    pub(in crate::crash) acked: AtomicU64,
    pub(in crate::crash) acked_durably: AtomicU64,
    pub(in crate::crash) commits: AtomicU64,
    pub(in crate::crash) tasks: AtomicU64,
    pub(in crate::crash) done: AtomicU64,
}

impl Counters {
    /// All counts as text, in the order of the fields, starting again from 0.
    pub(in crate::crash) fn take(&self) -> Vec<String> {
        let Self { published, confirmed, delivered, acked, acked_durably, commits, tasks, done } = self;
        let all = [published, confirmed, delivered, acked, acked_durably, commits, tasks, done];
        all.iter().map(|counter| counter.swap(0, Ordering::Relaxed).to_string()).collect()
    }
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Shared {
    pub(in crate::crash) fn new(tokens: u32) -> Self {
        Self {
            queues: MESSAGE_QUEUES.iter().map(|name| Mutex::new(QueueLedger::new(name))).collect(),
            tokens: Mutex::new(TokenLedger::new(tokens)),
            tasks: Mutex::default(),
            numbers: Mutex::default(),
            consumers: AtomicU64::new(1),
            ending: AtomicU8::new(Ending::NotYet as u8),
            counters: Counters::default(),
        }
    }

    /// The ledger of a queue.
    pub(in crate::crash) fn queue(&self, queue: usize) -> MutexGuard<'_, QueueLedger> {
        lock(&self.queues[queue])
    }

    /// The ledger of tokens.
    pub(in crate::crash) fn tokens(&self) -> MutexGuard<'_, TokenLedger> {
        lock(&self.tokens)
    }

    /// The ledger of tasks.
    pub(in crate::crash) fn tasks(&self) -> MutexGuard<'_, TaskLedger> {
        lock(&self.tasks)
    }

    /// Says how the round ends, before it does.
    pub(in crate::crash) fn set_ending(&self, ending: Ending) {
        self.ending.store(ending as u8, Ordering::SeqCst);
    }

    /// Whether the end of a connection is nothing unusual now.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst) != Ending::NotYet as u8
    }

    /// Whether connections end one after the other, while the broker works.
    pub(super) fn is_ending_gradually(&self) -> bool {
        self.ending.load(Ordering::SeqCst) == Ending::Gradually as u8
    }

    /// Ends the calling thread with what looks like a lost connection if others may have lost theirs already.
    ///
    /// What the lost ones held is then given to those that are left, before the lost ones have noticed: nothing that
    /// comes now can be judged.
    pub(super) fn stop_if_ending_gradually(&self) -> Result<(), PeerError> {
        if self.is_ending_gradually() { Err(PeerError::Closed) } else { Ok(()) }
    }

    /// A number that no consumer had before.
    pub(super) fn new_consumer(&self) -> ConsumerId {
        self.consumers.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of a publisher's next message, entered in the ledgers of all queues that it will reach.
    pub(super) fn next_message(&self, publisher: u32) -> MessageId {
        let number = {
            let mut numbers = lock(&self.numbers);
            let number = numbers.entry(publisher).or_insert(0);
            *number += 1;
            *number
        };
        let id = MessageId { publisher, number };
        destinations(id).for_each(|queue| self.queue(queue).on_publish(id));
        count(&self.counters.published);
        id
    }

    /// The broker confirmed a message.
    pub(super) fn on_confirm(&self, id: MessageId) {
        destinations(id).for_each(|queue| self.queue(queue).on_confirm(id));
        count(&self.counters.confirmed);
    }
}

/// A thread that panicked has told its reason already; what it left behind is still the best knowledge there is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How much the storage still takes, and what is refused when it takes no more.

use crate::broker::Broker;
use crate::command::Publish;
use crate::effect::{Effect, Recipient};
use crate::output::{HeldBack, Output};
use crate::reply_to::is_reply_address;
use crate::task::LeaseId;
use crate::{ConnectionId, Envelope, QueueNumber, Refusal, SessionId, Timestamp};

/// How many bytes of messages may still be stored. What is not a message (acks, definitions, deletions) is never refused
/// for want of room: a reserve is kept for it.
///
/// The owner of the core looks at its storage and says so by [`Broker::set_room`], before it hands in commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of messages that may go to the journal.
    pub journal_bytes: u64,
    /// Bytes of messages that are not journaled.
    pub memory_bytes: u64,
    /// What is kept for acks and the like. For the texts of refusals.
    pub reserve_bytes: u64,
    /// The storage is short: those whose publishes are not taken are told so, and that it is over.
    pub is_low: bool,
}

/// What of the room a message takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Need {
    journal_bytes: u64,
    memory_bytes: u64,
}

/// A record's own fields at the most, but for its targets and its message.
const RECORD_BYTES_MAX: u64 = 256;

/// What one queue more adds to a record at the most.
const TARGET_BYTES_MAX: u64 = 20;

/// A task's result of no more bytes is taken like an ack, out of the reserve: it is what lets go of the task's own message.
const SMALL_RESULT_BYTES_MAX: u64 = 4096;

impl Room {
    /// No bound at all. The default.
    pub const UNBOUNDED: Self =
        Self { journal_bytes: u64::MAX, memory_bytes: u64::MAX, reserve_bytes: 0, is_low: false };

    fn has(&self, need: Need) -> bool {
        need.journal_bytes <= self.journal_bytes && need.memory_bytes <= self.memory_bytes
    }

    fn refusal(&self, need: Need) -> Refusal {
        let (needed_bytes, room_bytes) = match need.journal_bytes {
            0 => (need.memory_bytes, self.memory_bytes),
            needed => (needed, self.journal_bytes),
        };
        Refusal::NoRoom { needed_bytes, room_bytes, reserve_bytes: self.reserve_bytes }
    }
}

impl Need {
    fn of_message(envelope: &Envelope, queues: u64, is_journaled: bool) -> Self {
        let bytes = envelope.stored_bytes() as u64 + RECORD_BYTES_MAX + queues * TARGET_BYTES_MAX;
        match is_journaled {
            true => Self { journal_bytes: bytes, memory_bytes: 0 },
            false => Self { journal_bytes: 0, memory_bytes: bytes },
        }
    }

    /// What a task's result takes.
    pub(crate) fn of_result(envelope: &Envelope) -> Self {
        match envelope.stored_bytes() as u64 <= SMALL_RESULT_BYTES_MAX {
            true => Self::default(),
            false => Self::of_message(envelope, 1, true),
        }
    }

    /// What new tasks, or messages published with a task's result, take.
    pub(crate) fn of_new(envelopes: &[Envelope]) -> Self {
        let mut need = Self::default();
        envelopes.iter().for_each(|envelope| need.add(Self::of_message(envelope, 1, true)));
        need
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.journal_bytes += other.journal_bytes;
        self.memory_bytes += other.memory_bytes;
    }
}

impl Broker {
    /// Says how much the storage still takes, from the next command on. Messages that come use it up, until it is said
    /// anew.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Tells the connections that were told that the storage is short that it no longer is.
    pub fn unblock(&mut self, out: &mut Output) {
        for (connection, state) in self.connections.iter_mut().filter(|(_, state)| state.is_blocked) {
            state.is_blocked = false;
            out.effect(Recipient::Connection(*connection), crate::Lsn::NONE, Effect::Unblocked);
        }
    }

    /// Stores a publish that was held back, now that there may be room. If there is none, it is held back again.
    pub(crate) fn publish_again(
        &mut self,
        now: Timestamp,
        session: SessionId,
        publish: Publish,
        out: &mut Output,
    ) {
        if self.check_exchange(publish.envelope.exchange()).is_err() {
            // Deleted meanwhile: nobody is left who could be told by an error.
            self.counters.published += 1;
            return self.unroutable(session, &publish, out);
        }
        match self.accept(now, session, &publish, out) {
            Ok(accepted) => {
                if accepted.refusal.is_some_and(|refusal| refusal.is_want_of_room()) {
                    self.hold_back(session, publish, out);
                }
            }
            // The queue has become a task queue, in which the message makes no sense.
            Err(_) => self.counters.unroutable_dropped += 1,
        }
    }

    /// Hands a publish back that the storage has no room for: nobody waits for its confirm, so it may come again.
    ///
    /// From then on nothing is taken until there is new room: a smaller message of the same publisher would overtake it
    /// (promise P5).
    pub(crate) fn hold_back(&mut self, session: SessionId, publish: Publish, out: &mut Output) {
        (self.room.journal_bytes, self.room.memory_bytes) = (0, 0);
        self.counters.published -= 1;
        self.counters.publishes_held_back += 1;
        let publish = Publish { envelope: publish.envelope.detached(), ..publish };
        out.held_back.push(HeldBack { session, publish });
    }

    /// Counts publishes that were held back and will not come again.
    pub fn drop_held_back(&mut self, publishes: u64) {
        self.counters.dropped_without_room += publishes;
    }

    /// Takes room for a message that goes to these queues.
    pub(crate) fn take_room(
        &mut self,
        from: ConnectionId,
        publish: &Publish,
        routed: &[QueueNumber],
        out: &mut Output,
    ) -> Result<(), Refusal> {
        if self.room == Room::UNBOUNDED {
            return Ok(());
        }
        let need = self.need(publish, routed);
        self.take(from, need, 1, out)
    }

    /// Takes room for as many messages, all or none.
    pub(crate) fn take(
        &mut self,
        from: ConnectionId,
        need: Need,
        messages: u64,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        if !self.room.has(need) {
            self.counters.publishes_without_room += messages;
            self.tell_blocked(from, out);
            return Err(self.room.refusal(need));
        }
        self.room.journal_bytes -= need.journal_bytes;
        self.room.memory_bytes -= need.memory_bytes;
        Ok(())
    }

    /// Whether there is room for all publishes of a transaction.
    pub(crate) fn check_room(
        &mut self,
        from: ConnectionId,
        publishes: &[Publish],
        out: &mut Output,
    ) -> Result<(), Refusal> {
        if self.room == Room::UNBOUNDED {
            return Ok(());
        }
        let (mut need, mut routed) = (Need::default(), Vec::new());
        for publish in publishes {
            routed.clear();
            need.add(self.need_of_any(publish, &mut routed));
        }
        if self.room.has(need) {
            return Ok(());
        }
        self.counters.commits_without_room += 1;
        self.tell_blocked(from, out);
        Err(self.room.refusal(need))
    }

    /// What a publish takes, wherever it goes.
    fn need_of_any(&self, publish: &Publish, routed: &mut Vec<QueueNumber>) -> Need {
        let (exchange, key) = (publish.envelope.exchange(), publish.envelope.routing_key());
        if exchange.is_empty() && is_reply_address(key) {
            return Need::default();
        }
        if exchange.is_empty() && LeaseId::of_reply_address(key).is_some() {
            return Need::of_result(&publish.envelope);
        }
        self.route(publish, routed);
        if routed.is_empty() { Need::default() } else { self.need(publish, routed) }
    }

    fn need(&self, publish: &Publish, routed: &[QueueNumber]) -> Need {
        let keeps = |number: &QueueNumber| {
            let queue = &self.queues[number];
            queue.tasks.is_some() || publish.persistent && queue.is_durable()
        };
        Need::of_message(&publish.envelope, routed.len() as u64, routed.iter().any(keeps))
    }

    fn tell_blocked(&mut self, connection: ConnectionId, out: &mut Output) {
        if !self.room.is_low {
            return;
        }
        let Some(state) = self.connections.get_mut(&connection).filter(|state| !state.is_blocked) else {
            return;
        };
        state.is_blocked = true;
        out.effect(Recipient::Connection(connection), crate::Lsn::NONE, Effect::Blocked);
    }
}

impl Refusal {
    /// Whether more room on the storage is all that is wanted.
    pub(crate) fn is_want_of_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. })
    }
}

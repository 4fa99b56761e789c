//! What the journal has room for, and what happens when that is little.
//!
//! ```text
//!   ample ── less than the reserve is left ──> low: publishes are refused or held back; acks, deletions and
//!     ▲                                         │    consumers go on and use the reserve; a checkpoint a second
//!     └── half the reserve more than it ────────┘    frees what they let go of
//! ```

use std::collections::VecDeque;

use broker::{Command, ConnectionId, HeldBack, Timestamp};

use crate::engine::{CLOCK, Engine};

/// Where the storage stands.
#[derive(Debug, Default)]
pub(crate) struct RoomWatch {
    /// Less than the reserve was left, and not clearly more since.
    pub(crate) is_low: bool,
    /// When to look again, and to free what can be freed.
    look_at: Option<Timestamp>,
    /// Connections with publishes that are held back, in the order in which they began to wait.
    holding: Vec<ConnectionId>,
}

/// The publishes of a connection that wait for room, in order.
#[derive(Debug, Default)]
pub(crate) struct Waitlist {
    publishes: VecDeque<HeldBack>,
    bytes: u64,
}

/// How much the storage still takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageRoom {
    /// Publishes are refused.
    pub is_low: bool,
    /// Bytes that there is room for, the reserve included; `u64::MAX` if nobody knows.
    pub room_bytes: u64,
    /// What is kept for acks, deletions and the like.
    pub reserve_bytes: u64,
}

/// How often a storage that is low is looked at, and a checkpoint written that may free some of it. In milliseconds.
const LOOK_EVERY_MS: u64 = 1000;

/// While the storage is low, what nobody waits for is written no oftener than this, in milliseconds: each entry takes a
/// block, however few acks are in it.
const IDLE_FLUSH_WHEN_LOW_MS: u64 = 100;

/// With this many bytes beyond the reserve nothing is counted: more than any batch of commands can bring.
const PLENTY_BYTES: u64 = 1 << 30;

impl Waitlist {
    pub(crate) fn is_empty(&self) -> bool {
        self.publishes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.publishes.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn push(&mut self, held_back: HeldBack) {
        self.bytes += held_back.publish.envelope.stored_bytes() as u64;
        self.publishes.push_back(held_back);
    }
}

impl Engine {
    /// How much the storage still takes.
    #[must_use]
    pub fn storage_room(&self) -> StorageRoom {
        StorageRoom {
            is_low: self.room.is_low,
            room_bytes: self.room_bytes(),
            reserve_bytes: self.settings.storage_reserve_bytes,
        }
    }

    /// Tells the core what there is room for: to be called before a batch of the connection's commands. That there is
    /// enough again is not found out here, but by [`Self::look_for_room`].
    pub(crate) fn measure_room(&mut self, now: Timestamp, connection: ConnectionId) {
        let room_bytes = self.room_bytes();
        let reserve_bytes = self.settings.storage_reserve_bytes;
        if room_bytes < reserve_bytes {
            self.run_low(now);
        }
        // Nothing overtakes what is held back.
        let is_holding = self.links.get(&connection).is_some_and(|link| !link.waitlist.is_empty());
        let room = match self.room.is_low || is_holding {
            true => broker::Room {
                journal_bytes: 0,
                memory_bytes: if is_holding { 0 } else { self.bodies.room_for_volatile_bytes() },
                reserve_bytes,
                is_low: true,
            },
            false if room_bytes - reserve_bytes >= PLENTY_BYTES => broker::Room::UNBOUNDED,
            false => broker::Room {
                journal_bytes: room_bytes - reserve_bytes,
                reserve_bytes,
                ..broker::Room::UNBOUNDED
            },
        };
        self.broker.set_room(room);
    }

    /// Looks whether there is enough room again, and lets those go on who waited for it.
    pub(crate) fn look_for_room(&mut self, now: Timestamp) {
        if !self.room.is_low {
            return;
        }
        if !self.has_clearly_more_than_the_reserve() {
            return;
        }
        self.room.is_low = false;
        self.room.look_at = None;
        for connection in std::mem::take(&mut self.room.holding) {
            self.hand_in_again(now, connection);
        }
        // They have waited long enough.
        self.entry_wanted |= !self.out.entry.bytes.is_empty();
        if !self.room.is_low {
            self.broker.unblock(&mut self.out);
            self.take_output(CLOCK);
        }
    }

    /// Publishes are refused for want of room.
    pub(crate) fn is_low_on_room(&self) -> bool {
        self.room.is_low
    }

    /// When a storage that is low wants to be looked at.
    pub(crate) fn look_at(&self) -> Option<Timestamp> {
        self.room.look_at
    }

    /// Whether a storage that is low wants a checkpoint, which may free some of it.
    pub(crate) fn wants_room_by_checkpoint(&mut self, now: Timestamp) -> bool {
        let is_due = self.room.look_at.is_some_and(|at| at <= now);
        if is_due {
            self.room.look_at = Some(Timestamp(now.0 + LOOK_EVERY_MS));
        }
        is_due && self.has_news_for_checkpoint()
    }

    /// How long what nobody waits for may wait, in milliseconds.
    pub(crate) fn idle_flush_ms(&self) -> u64 {
        let shortest_ms = if self.room.is_low { IDLE_FLUSH_WHEN_LOW_MS } else { 0 };
        self.settings.idle_flush_ms.max(shortest_ms)
    }

    /// Bytes that may be under way to the journal. What there surely is no room for would be in the way of the acks that
    /// make room.
    pub(crate) fn journal_window_bytes(&self) -> u64 {
        let room_bytes = self.writer.as_ref().map_or(u64::MAX, |writer| writer.room().total_bytes());
        self.settings.journal_window_bytes.min(room_bytes / 2)
    }

    /// How often the core has refused something for want of room.
    pub(crate) fn refusals(&self) -> u64 {
        let counters = self.broker.counters();
        counters.publishes_without_room + counters.commits_without_room
    }

    /// Takes note of what the core has refused to this connection, and keeps what it has handed back of its publishes.
    pub(crate) fn note_refusals(&mut self, now: Timestamp, connection: ConnectionId, refusals_before: u64) {
        if self.refusals() > refusals_before && !self.has_clearly_more_than_the_reserve() {
            self.run_low(now);
        }
        while !self.out.held_back.is_empty() {
            let is_low = self.room.is_low;
            let link = self.links.get_mut(&connection).filter(|link| is_low || !link.waitlist.is_empty());
            if let Some(link) = link {
                if link.waitlist.is_empty() {
                    self.room.holding.push(connection);
                }
                self.out.held_back.drain(..).for_each(|held_back| link.waitlist.push(held_back));
                return;
            }
            // The first is too large for a storage that is not short: there may never be room for it. Those behind it have
            // only waited for it.
            self.broker.drop_held_back(1);
            let behind = self.out.held_back.split_off(1);
            self.out.held_back.clear();
            behind.into_iter().for_each(|held_back| self.hand_in(now, held_back));
        }
    }

    fn hand_in_again(&mut self, now: Timestamp, connection: ConnectionId) {
        let refusals = self.refusals();
        let Some(link) = self.links.get_mut(&connection) else { return };
        let mut from = self.out.entry.bytes.len();
        for held_back in std::mem::take(&mut link.waitlist).publishes {
            self.hand_in(now, held_back);
            if self.out.entry.bytes.len() >= self.settings.entry_bytes_target {
                self.charge(connection, from);
                self.append();
                from = 0;
            }
        }
        // It may have become low again.
        self.note_refusals(now, connection, refusals);
        self.take_output(connection);
        self.charge(connection, from);
    }

    /// Hands in one publish that was held back. Behind one that still is, there is no room either.
    fn hand_in(&mut self, now: Timestamp, HeldBack { session, publish }: HeldBack) {
        if self.out.held_back.is_empty() {
            self.measure_room(now, CLOCK);
        }
        self.broker.handle(now, Command::PublishAgain { session, publish }, &mut self.out);
    }

    fn run_low(&mut self, now: Timestamp) {
        if !self.room.is_low {
            self.room.is_low = true;
            self.room.look_at = Some(now);
        }
    }

    fn has_clearly_more_than_the_reserve(&self) -> bool {
        let reserve_bytes = self.settings.storage_reserve_bytes;
        self.room_bytes() >= reserve_bytes + reserve_bytes / 2
    }

    /// What the journal has room for beyond what is on its way to it.
    fn room_bytes(&self) -> u64 {
        let Some(writer) = &self.writer else { return u64::MAX };
        match writer.room().total_bytes() {
            u64::MAX => u64::MAX,
            bytes => bytes.saturating_sub(self.out.entry.bytes.len() as u64),
        }
    }
}

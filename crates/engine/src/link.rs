//! A connection as the engine sees it: what it has to be told, and what it owes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use broker::{Addressed, Effect, Envelope, Lsn};

use crate::room::Waitlist;

/// An effect that may be shown to its client now.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    /// The session's number on its connection; `None` for the connection itself.
    pub channel: Option<u16>,
    /// What to tell.
    pub effect: Effect<Envelope>,
}

/// Where a connection's effects go.
///
/// Called with the engine's lock held, and from the journal's thread too: it queues and wakes, and never blocks.
pub trait Outlet: Send + Sync {
    /// Takes all of `effects`, in order. An empty list only says that the connection's credit came back.
    fn push(&self, effects: &mut Vec<Released>);
}

/// One connection.
pub(crate) struct Link {
    pub(crate) outlet: Arc<dyn Outlet>,
    /// Effects that wait for the journal or for a body, by session; only sessions that have some.
    pub(crate) waiting: BTreeMap<Option<u16>, Line>,
    /// Effects to be pushed at the end of the call.
    pub(crate) staged: Vec<Released>,
    /// What this connection added to the journal and is not durable: (entry, bytes).
    unsynced: VecDeque<(Lsn, u64)>,
    unsynced_bytes: u64,
    /// Publishes that wait for room on the storage.
    pub(crate) waitlist: Waitlist,
    /// It was told that it has no credit.
    pub(crate) starved: bool,
}

/// The effects of one session that wait, in order.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) effects: VecDeque<Addressed>,
    /// The last of the reads that it waits for, by ticket; 0 for none.
    pub(crate) asked_up_to: u64,
}

impl Link {
    pub(crate) fn new(outlet: Arc<dyn Outlet>) -> Self {
        Self {
            outlet,
            waiting: BTreeMap::new(),
            staged: Vec::new(),
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            waitlist: Waitlist::default(),
            starved: false,
        }
    }

    /// Bytes that it added to the journal and that are not durable.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// Bytes that it published and that are not durable, or not even taken.
    pub(crate) fn owed_bytes(&self) -> u64 {
        self.unsynced_bytes + self.waitlist.bytes()
    }

    /// Notes bytes that it adds to an entry.
    pub(crate) fn charge(&mut self, lsn: Lsn, bytes: u64) {
        self.unsynced_bytes += bytes;
        match self.unsynced.back_mut() {
            Some((last, sum)) if *last == lsn => *sum += bytes,
            _ => self.unsynced.push_back((lsn, bytes)),
        }
    }

    /// Forgets what has become durable.
    pub(crate) fn settle_up_to(&mut self, durable: Lsn) {
        while let Some((_, bytes)) = self.unsynced.front().copied().filter(|(lsn, _)| *lsn <= durable) {
            self.unsynced_bytes -= bytes;
            self.unsynced.pop_front();
        }
    }

    /// Adds an effect to what is pushed next. Consecutive confirms become one.
    pub(crate) fn stage(&mut self, channel: Option<u16>, effect: Effect<Envelope>) {
        if let (Effect::Confirmed { up_to }, Some(last)) = (&effect, self.staged.last_mut())
            && let (true, Effect::Confirmed { up_to: before }) = (last.channel == channel, &mut last.effect)
        {
            *before = *up_to;
            return;
        }
        self.staged.push(Released { channel, effect });
    }

    /// Adds an effect to those that wait. Consecutive confirms that wait for the same entry become one.
    pub(crate) fn wait(&mut self, channel: Option<u16>, addressed: Addressed) {
        let line = &mut self.waiting.entry(channel).or_default().effects;
        if let (Effect::Confirmed { up_to }, Some(last)) = (&addressed.effect, line.back_mut())
            && last.after == addressed.after
            && let Effect::Confirmed { up_to: before } = &mut last.effect
        {
            *before = *up_to;
            return;
        }
        line.push_back(addressed);
    }

    pub(crate) fn push_staged(&mut self) {
        if !self.staged.is_empty() {
            self.outlet.push(&mut self.staged);
            debug_assert!(self.staged.is_empty(), "an outlet takes all");
        }
    }
}

//! One log of a memory journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::MemoryJournal;
use super::disk::{PendingRead, listener};
use crate::{
    BodyError, ClaimError, Cursor, Entry, Epoch, InFlight, LostReason, Lsn, ReadDone, SegmentInfo, State,
    Wake,
};

#[derive(Default)]
pub(super) struct MemoryLog {
    pub(super) epoch: Epoch,
    pub(super) durable: Lsn,
    /// See [`MemoryJournal::lose_at`].
    pub(super) lose_at: Option<Lsn>,
    /// How many of the entries in flight the next claim finds; see [`MemoryJournal::crash`].
    pub(super) survivors: usize,
    pub(super) corrupt: BTreeSet<Lsn>,
    entries: BTreeMap<Lsn, Stored>,
    /// Submitted and not durable: in flight, or of unknown fate once `current` has ended.
    undecided: VecDeque<Submitted>,
    current: u64,
    sessions: BTreeMap<u64, Session>,
}

struct Stored {
    epoch: Epoch,
    bytes: Bytes,
}

struct Submitted {
    stamp: u64,
    lsn: Lsn,
    bytes: Bytes,
}

/// What one writer may see; there is one per claim, until its writer is dropped.
#[derive(Default)]
struct Session {
    end: Option<State>,
    wake: Option<Wake>,
    completed: Vec<ReadDone>,
}

impl MemoryLog {
    /// The epoch of the last claim.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Hands the log to a new session. Gives the wakes of the one deposed.
    pub(super) fn claim(&mut self, session: u64, epoch: Epoch, from: Lsn) -> Result<Vec<Wake>, ClaimError> {
        if epoch < self.epoch {
            return Err(ClaimError::Superseded { by: self.epoch, epoch });
        }
        let tail = Lsn(self.durable.0 + self.survivors.min(self.undecided.len()) as u64);
        self.check_replay(from, tail)?;
        let deposed = self.depose(epoch);
        self.decide();
        self.epoch = epoch;
        self.current = session;
        self.sessions.insert(session, Session::default());
        Ok(deposed.into_iter().collect())
    }

    /// The entries behind `from`; only after a claim has checked that they are whole.
    pub(super) fn replay(&self, from: Lsn) -> VecDeque<Entry> {
        let entry = |(&lsn, stored): (&Lsn, &Stored)| Entry {
            lsn,
            epoch: stored.epoch,
            cursor: Cursor::behind(lsn),
            bytes: stored.bytes.clone(),
        };
        self.entries.range(from.next()..).map(entry).collect()
    }

    pub(super) fn append(&mut self, session: u64, stamp: u64, lsn: Lsn, bytes: Bytes) {
        if self.is_alive(session) {
            self.undecided.push_back(Submitted { stamp, lsn, bytes });
        }
    }

    pub(super) fn state(&self, session: u64) -> State {
        match self.sessions.get(&session).and_then(|session| session.end.clone()) {
            Some(end) => end,
            None => State::Durable(self.durable),
        }
    }

    pub(super) fn in_flight(&self, session: u64) -> InFlight {
        if !self.is_alive(session) {
            return InFlight::default();
        }
        InFlight {
            entries: self.undecided.len() as u64,
            bytes: self.undecided.iter().map(|submitted| submitted.bytes.len() as u64).sum(),
        }
    }

    pub(super) fn watch(&mut self, session: u64, wake: Wake) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.wake = Some(wake);
        }
    }

    pub(super) fn take_completed(&mut self, session: u64, out: &mut Vec<ReadDone>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            out.append(&mut session.completed);
        }
    }

    pub(super) fn leave(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// The stamp of the entry that becomes durable next, unless its writer has ended.
    pub(super) fn oldest_submission(&self) -> Option<u64> {
        let oldest = self.undecided.front()?;
        self.is_alive(self.current).then_some(oldest.stamp)
    }

    /// Makes the oldest submission durable, or ends the session if a loss was ordered for it.
    pub(super) fn settle_oldest(&mut self) -> Option<Wake> {
        if self.lose_at.is_some() && self.lose_at == self.undecided.front().map(|oldest| oldest.lsn) {
            self.lose_at = None;
            return self.lose();
        }
        self.settle(self.epoch);
        listener(&self.sessions.get(&self.current)?.wake)
    }

    pub(super) fn answer(&mut self, read: PendingRead) -> Option<Wake> {
        let result = self.read(&read);
        let session = self.sessions.get_mut(&read.session)?;
        session.completed.push(ReadDone { ticket: read.ticket, result });
        listener(&session.wake)
    }

    pub(super) fn trim(&mut self, session: u64, before: Lsn, keep: &[RangeInclusive<Lsn>]) {
        if !self.is_alive(session) {
            return;
        }
        let active = segment_of(self.durable.next());
        let mut number = self.entries.keys().next().map_or(active, |&first| segment_of(first));
        while number < active && last_of(number) < before {
            let (first, last) = (first_of(number), last_of(number));
            if !keep.iter().any(|kept| *kept.start() <= last && *kept.end() >= first) {
                self.entries.retain(|&lsn, _| lsn < first || lsn > last);
            }
            number += 1;
        }
    }

    pub(super) fn segments(&self) -> Vec<SegmentInfo> {
        let mut segments: Vec<SegmentInfo> = Vec::new();
        let active = segment_of(self.durable.next());
        for (&lsn, stored) in &self.entries {
            let (number, bytes) = (segment_of(lsn), stored.bytes.len() as u64);
            match segments.last_mut().filter(|segment| segment.number == number) {
                Some(segment) => {
                    segment.last = lsn;
                    segment.bytes += bytes;
                }
                None => {
                    segments.push(SegmentInfo {
                        number,
                        first: lsn,
                        last: lsn,
                        bytes,
                        sealed: number < active,
                        compacted: None,
                        is_compactable: false,
                    });
                }
            }
        }
        segments
    }

    pub(super) fn crash(&mut self, survivors: usize) -> Option<Wake> {
        self.survivors = survivors;
        self.lose()
    }

    /// Fences the current session, if there is a living one.
    pub(super) fn depose(&mut self, by: Epoch) -> Option<Wake> {
        self.end(State::Fenced { by })
    }

    pub(super) fn erase(&mut self) {
        self.entries.clear();
        self.undecided.clear();
        self.corrupt.clear();
        self.durable = Lsn::ZERO;
    }

    fn is_alive(&self, session: u64) -> bool {
        session == self.current && self.sessions.get(&session).is_some_and(|session| session.end.is_none())
    }

    fn lose(&mut self) -> Option<Wake> {
        let submitted = self.undecided.back().map_or(self.durable, |newest| newest.lsn);
        self.end(State::Lost { durable: self.durable, submitted, reason: Arc::new(LostReason::Injected) })
    }

    fn end(&mut self, state: State) -> Option<Wake> {
        let session = self.sessions.get_mut(&self.current)?;
        if session.end.is_some() {
            return None;
        }
        session.end = Some(state);
        listener(&session.wake)
    }

    /// Settles the fate of what an ended session left in flight.
    fn decide(&mut self) {
        for _ in 0..std::mem::take(&mut self.survivors).min(self.undecided.len()) {
            self.settle(self.epoch);
        }
        self.undecided.clear();
    }

    fn settle(&mut self, epoch: Epoch) {
        if let Some(Submitted { lsn, bytes, .. }) = self.undecided.pop_front() {
            self.entries.insert(lsn, Stored { epoch, bytes });
            self.durable = lsn;
        }
    }

    fn check_replay(&self, from: Lsn, tail: Lsn) -> Result<(), ClaimError> {
        let corrupt = |lsn: Lsn, detail: &str| ClaimError::Corrupt {
            file: "memory".into(),
            offset: 0,
            lsn,
            detail: detail.into(),
        };
        if from > tail {
            return Err(corrupt(tail.next(), "the log ends in front of the cursor"));
        }
        if let Some(&lsn) = self.corrupt.range(from.next()..).next() {
            return Err(corrupt(lsn, "damage was injected"));
        }
        match (from.next().0..=self.durable.0).rev().find(|&lsn| !self.entries.contains_key(&Lsn(lsn))) {
            Some(hole) => Err(ClaimError::Trimmed { from: from.next(), first: Lsn(hole + 1) }),
            None => Ok(()),
        }
    }

    fn read(&self, read: &PendingRead) -> Result<Bytes, BodyError> {
        let lsn = read.lsn;
        if lsn > self.durable {
            return Err(BodyError::NotDurable { lsn, durable: self.durable });
        }
        if self.corrupt.contains(&lsn) {
            let detail = "damage was injected".into();
            return Err(BodyError::Corrupt { file: "memory".into(), offset: 0, lsn, detail });
        }
        let stored = self.entries.get(&lsn).ok_or(BodyError::Trimmed { lsn })?;
        let (start, end) = (read.range.start, read.range.end);
        let entry_bytes = stored.bytes.len() as u64;
        if start > end || end > entry_bytes {
            return Err(BodyError::OutOfRange { lsn, start, end, entry_bytes });
        }
        Ok(stored.bytes.slice(start as usize..end as usize))
    }
}

fn segment_of(lsn: Lsn) -> u64 {
    lsn.previous().0 / MemoryJournal::SEGMENT_ENTRIES + 1
}

fn first_of(segment: u64) -> Lsn {
    Lsn((segment - 1) * MemoryJournal::SEGMENT_ENTRIES + 1)
}

fn last_of(segment: u64) -> Lsn {
    Lsn(segment * MemoryJournal::SEGMENT_ENTRIES)
}

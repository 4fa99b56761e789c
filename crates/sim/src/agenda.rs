//! What happens when: the only order there is.

use std::collections::BTreeMap;

use crate::line::LineId;

/// Simulated time, in microseconds since the simulation began.
pub type Micros = u64;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// One thing that is to happen. There is at most one of each kind under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The process of the broker starts.
    Boot,
    /// The journal's thread writes what waits.
    JournalWrite,
    /// The journal's sync ends.
    JournalSync,
    /// The journal prepares or frees segments.
    JournalSpares,
    /// The journal does a part of a compaction.
    JournalCompact,
    /// The journal answers a read.
    JournalRead,
    /// A checkpoint is written.
    Checkpoint,
    /// The engine hears how a checkpoint went.
    CheckpointDone,
    /// State that is not in memory is read.
    Load,
    /// The engine gets what was read.
    LoadDone,
    /// The engine's deadline.
    Tick,
    /// The connection's own task wakes up.
    ServeLine(LineId),
    /// A connection's deadline.
    TickLine(LineId),
    /// Bytes have come to the server.
    ServerReads(LineId),
    /// Bytes have come to a client.
    ClientReads(u32),
    /// A client does something.
    ClientActs(u32),
    /// A requester does something.
    RequesterActs(u32),
    /// Answers have come to a requester.
    RequesterHears(u32),
    /// The world does something bad.
    Fault,
    /// A full disk gets room again.
    CleanUp,
    /// Checkers that look at the whole have a look.
    Inspect,
}

/// Events in the order of their times; those of one time in the order in which they were put down.
#[derive(Debug, Default)]
pub struct Agenda {
    now: Micros,
    count: u64,
    by_time: BTreeMap<(Micros, u64), Event>,
    times: BTreeMap<Event, (Micros, u64)>,
}

impl Agenda {
    /// The time of the last event.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Puts an event down, so long from now. One that is to come earlier stays.
    pub fn schedule(&mut self, event: Event, after: Micros) {
        let at = self.now.saturating_add(after);
        if let Some(&(earlier, count)) = self.times.get(&event) {
            if earlier <= at {
                return;
            }
            self.by_time.remove(&(earlier, count));
        }
        self.count += 1;
        self.by_time.insert((at, self.count), event);
        self.times.insert(event, (at, self.count));
    }

    /// Takes an event off.
    pub fn cancel(&mut self, event: Event) {
        if let Some(place) = self.times.remove(&event) {
            self.by_time.remove(&place);
        }
    }

    /// Whether an event is to come.
    #[must_use]
    pub fn has(&self, event: Event) -> bool {
        self.times.contains_key(&event)
    }

    /// The next event; its time becomes the time.
    pub fn take_next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.by_time.pop_first()?;
        self.times.remove(&event);
        self.now = at;
        Some(event)
    }
}

//! What an examination finds.

use std::ops::RangeInclusive;

use broker::{Census, Conclusions, LostMessage, Timestamp};
use field_table::ShortString;
use journal::{LogName, Survey, TornTail};

use super::Remains;
use crate::checkpoint::CheckpointDamage;

/// A virtual host's log and checkpoints, looked at.
pub struct Examination {
    /// The log.
    pub log: LogName,
    /// Its segments, its claim, and every flaw in them. `None` where there are checkpoints and no journal.
    pub survey: Option<Survey>,
    /// Its checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointFinding>,
    /// What a start would do, or the words it would refuse with.
    pub start: Result<Start, String>,
    /// What is there: after a repair, where one is needed.
    pub census: Census,
    /// What is damaged and matters.
    pub damages: Vec<Damage>,
    /// What is damaged and needed by nobody any more: old repairs leave such places.
    pub scars: Vec<Damage>,
    /// What a repair cannot bring back.
    pub losses: Losses,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFinding {
    /// Its manifest, relative to the data directory.
    pub manifest: String,
    /// The last entry that it covers.
    pub position: u64,
    /// When it was taken, the bytes of its run, and whether its boot ended in peace with it: if it is whole.
    pub whole: Option<(Timestamp, u64, bool)>,
    /// What is wrong with it.
    pub damage: Option<CheckpointDamage>,
}

/// What a start would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The checkpoint that it would begin with; 0 for none.
    pub checkpoint: u64,
    /// Entries that it would replay.
    pub entries: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// What it would cut off.
    pub torn: Option<TornTail>,
    /// The queues that it would halt, because messages of theirs cannot be read.
    pub halted: Vec<ShortString>,
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The entries that cannot be read because of it.
    pub entries: Option<RangeInclusive<u64>>,
    /// What is wrong there.
    pub detail: String,
    /// What follows from it.
    pub meaning: Meaning,
    /// What can still be made out, though nothing vouches for it: of entries that a start would replay.
    pub remains: Option<Remains>,
}

/// What follows from a damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A start is refused. The entries held what happened since the checkpoint.
    StartRefused,
    /// Living messages have their bodies there, ended tasks their results.
    Bodies {
        /// How many messages of which queues.
        messages: Vec<QueueCount>,
        /// Results of tasks.
        results: u64,
        /// A start is refused as well.
        start_refused: bool,
    },
    /// A start passes over this checkpoint: it begins with the one before it, and replays more.
    CheckpointPassedOver,
    /// A start has nothing to fall back on, should the newest checkpoint be damaged too.
    FallbackLost,
    /// No checkpoint is left: a start needs the journal from its first entry on.
    CheckpointsLost,
    /// No checkpoint is whole, and a repair begins with the newest, without what it says there. A start halts the queues of which
    /// messages are lost.
    Rows {
        /// A start is refused: more is lost than messages of queues.
        start_refused: bool,
        /// What that is about, where it is known.
        about: Option<String>,
    },
    /// Nothing: nobody needs what lay there.
    Nothing,
}

/// So many messages of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue.
    pub queue: ShortString,
    /// How many.
    pub messages: u64,
}

/// What cannot be brought back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// What the checkpoint says that cannot be read.
    pub rows: Vec<CheckpointDamage>,
    /// Entries behind the checkpoint that cannot be read: what was published, settled and declared in them.
    pub entries: Vec<RangeInclusive<u64>>,
    /// Messages and results whose bytes cannot be read.
    pub messages: Vec<LostMessage>,
    /// Of those, what the damaged place still shows, in the same order; nothing vouches for it.
    pub glimpses: Vec<Option<broker::Envelope>>,
    /// What had to be concluded where entries are missing.
    pub conclusions: Conclusions,
    /// There is no whole checkpoint, and the journal does not begin with its first entry: the first that is there.
    pub begins_at: Option<u64>,
}

impl Examination {
    /// Whether nothing is damaged that matters. A torn tail is no damage.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

impl Losses {
    /// Whether nothing is lost.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.rows.is_empty()
            && self.entries.is_empty()
            && self.messages.is_empty()
            && self.begins_at.is_none()
    }
}

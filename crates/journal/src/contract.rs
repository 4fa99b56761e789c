//! The contract between a caller that keeps its state in a log and the engine that keeps the log.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;

use crate::{
    BodyError, ClaimError, Compaction, Cursor, DestroyError, Epoch, LogName, LostReason, Lsn, ReadError,
    SegmentName,
};

/// A set of logs, each an ordered sequence of opaque entries with one writer at a time.
///
/// ```text
///   claim ──> Claim { reader, writer, tail }
///               │        │
///               │        └─ append, append, append ──> state: Durable(n) grows
///               └─ next, next, next ──> None at the tail
/// ```
///
/// The rules that every engine keeps, and that [`crate::conformance`] checks:
///
/// 1. *Durable is for ever.* What a writer was told to be durable is replayed by every later claim, byte for
///    byte, until it is trimmed.
/// 2. *A prefix, nothing else.* Replay gives entries without gap or repetition, up to a tail that is at or
///    above every position ever told to be durable. Entries above it were never told durable and are gone for
///    good.
/// 3. *One writer.* From the moment `claim` returns, no writer of an earlier claim is told "durable" any
///    more.
/// 4. *Failure is final.* After a failed write or sync the writer accepts nothing; a new claim finds out what
///    is there.
/// 5. *Atomic entries.* An entry is replayed whole or not at all.
pub trait Journal: Send + Sync {
    /// What this engine promises and prefers.
    fn describe(&self) -> Description;

    /// Takes over a log: fences every earlier claim, finds its end, and opens it for replay and append.
    ///
    /// A log that does not exist is created empty. Replay starts behind `from`, or with entry 1 if it is
    /// `None`. A claim with the epoch of the last one is granted too, so that a claim whose answer was lost
    /// can be repeated; it fences the earlier writer as well.
    ///
    /// Waits for the storage: up to a second per gigabyte to be looked through, and for an earlier writer of
    /// this process to end its sync. Do not call it with a lock held that a [`Wake`] takes.
    ///
    /// # Errors
    /// See [`ClaimError`]. [`ClaimError::Superseded`] and [`ClaimError::ForeignCursor`] leave an earlier
    /// writer alone; after the others it may have been fenced.
    fn claim(&self, log: &LogName, epoch: Epoch, from: Option<Cursor>) -> Result<Claim, ClaimError>;

    /// Removes a log and all it holds. A log that does not exist is no error.
    ///
    /// # Errors
    /// [`DestroyError::Superseded`] for an epoch lower than that of the last claim; then nothing was removed.
    fn destroy(&self, log: &LogName, epoch: Epoch) -> Result<(), DestroyError>;
}

/// What an engine promises and prefers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What "durable" means here, for the operator: "fdatasync on one local disk".
    pub durable_means: &'static str,
    /// The largest entry, in bytes. A larger one is a mistake of the caller: [`Writer::append`] panics.
    pub entry_bytes_max: u64,
    /// From this many bytes on, larger entries gain no more throughput.
    pub batch_bytes_preferred: u64,
}

/// A log in the hands of its owner.
pub struct Claim {
    /// Replays the entries from the asked place up to `tail`.
    pub reader: Box<dyn Reader>,
    /// Appends behind `tail`.
    pub writer: Box<dyn Writer>,
    /// The last entry of the log; [`Lsn::ZERO`] for an empty one. Everything up to it is durable.
    pub tail: Lsn,
    /// The epoch of the claim before; 0 for a log that nobody has claimed. An owner whose epochs must never repeat
    /// claims again with a higher one if it is its own.
    pub epoch_before: Epoch,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Claim").field("tail", &self.tail).finish_non_exhaustive()
    }
}

/// One entry, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub lsn: Lsn,
    /// The epoch of the claim that wrote it.
    pub epoch: Epoch,
    /// The place behind it: a claim from here replays the entry that follows.
    pub cursor: Cursor,
    /// What was appended.
    pub bytes: Bytes,
}

/// Replays a log from the place asked for in [`Journal::claim`] to the tail that the claim fixed.
///
/// Entries appended later are not part of it. A reader that is not needed may be dropped at any time.
/// Trimming what it has still to read makes it fail.
pub trait Reader: Send {
    /// The next entry, or `None` behind the tail.
    ///
    /// # Errors
    /// See [`ReadError`]. An entry is never skipped: after an error, every call gives an error.
    fn next(&mut self) -> Result<Option<Entry>, ReadError>;
}

/// A caller's thread, lent to an engine for one entry.
pub trait Help: Send + Sync {
    /// Writes and syncs what is submitted, if that is quick of late, or sees to it that the engine's own thread
    /// does. To be called once, soon, from a thread that may block for about as long as a sync takes, and with no lock
    /// held: the engine calls its watcher from here.
    fn help(&self);
}

/// Appends to a log, reads single entries of it back, and frees what is no longer needed.
///
/// No method waits for the storage. Dropping a writer is safe at any time and equals a crash of the caller:
/// what was submitted may become durable or not.
pub trait Writer: Send {
    /// Submits one entry and returns at once. It is durable when [`Writer::state`] says so.
    ///
    /// The order of calls is the order of the log. The payload is never copied: the engine holds a reference
    /// until it is written, and the caller may keep one as its cache. In a terminal state the call does
    /// nothing. The engine sets no bound to what is in flight; the caller keeps one by [`Writer::in_flight`].
    ///
    /// # Panics
    /// If `lsn` is not one more than the last (at first: than the tail of the claim), or the payload is
    /// larger than [`Description::entry_bytes_max`].
    fn append(&mut self, lsn: Lsn, payload: Bytes);

    /// Like [`Writer::append`], for an entry that nobody is expected to join: one caller that waits for its own
    /// entry.
    ///
    /// An engine with threads may leave the work to the caller's thread and save two hops between threads, which
    /// cost more than the write itself. It then gives a helper, and the entry is under way for sure only when
    /// [`Help::help`] has been called.
    fn append_lone(&mut self, lsn: Lsn, payload: Bytes) -> Option<Arc<dyn Help>> {
        self.append(lsn, payload);
        None
    }

    /// How far the log is durable, or why it has ended. A few atomic reads.
    fn state(&self) -> State;

    /// What was submitted and is not durable yet. A few atomic reads.
    fn in_flight(&self) -> InFlight;

    /// How much can be appended beyond what was submitted. A few atomic reads; a wake follows when it changes without an
    /// append.
    ///
    /// Running out of room is no failure: an entry for which there is none waits, and all behind it, until there is. Whoever
    /// appends looks at this first, so that what frees room is not stuck behind what needs it.
    fn room(&self) -> Room {
        Room::UNBOUNDED
    }

    /// Has `wake` called whenever the durable position moved, a read was completed, the room changed by itself, or the
    /// state became terminal.
    ///
    /// It is called after the change can be seen, on a thread of the engine or of one who claims the log,
    /// never from inside a method of this writer, and with no lock of the engine held: it may take the
    /// caller's lock around this writer and append. Several changes may share a call. It replaces the one set
    /// before; what happened before it was set is not told, so look at the state once. It should return
    /// quickly, because the next sync waits for it.
    fn watch(&mut self, wake: Wake);

    /// The place behind the entry `lsn`, to be stored beside a checkpoint at `lsn`. `lsn` has to be at or
    /// below the durable position; the cursor is good until the entry behind it is trimmed.
    fn cursor(&self, lsn: Lsn) -> Cursor;

    /// Asks for a part of the payload of an entry at or below the durable position, counted in bytes from its
    /// start. What was trimmed, or was not kept by a compaction, is answered [`BodyError::Trimmed`].
    ///
    /// Any number may be under way. They are completed in any order; `ticket` tells them apart and means
    /// nothing to the engine. The answer is fetched by [`Writer::completed_reads`]. Reads work in terminal
    /// states as well.
    ///
    /// A part is only handed out if the whole payload is as it was written, which the first read of an entry makes
    /// sure of.
    fn read(&mut self, ticket: u64, lsn: Lsn, range: Range<u64>);

    /// Moves the reads completed since the last call to the end of `out`.
    fn completed_reads(&mut self, out: &mut Vec<ReadDone>);

    /// Frees what lies below `before`, except the entries in `keep`.
    ///
    /// The caller promises that it will never again claim from a cursor below `before - 1`, because it has a
    /// durable checkpoint there, and that it reads none of the freed entries. Space is freed by whole
    /// segments: a sealed one wholly below `before` that holds no entry of `keep` is removed, also between
    /// others that stay. Kept entries can be read by [`Writer::read`], also after a later claim. `keep` has
    /// to be in ascending order, without overlaps. Idempotent, done in the background, and may do less than
    /// asked.
    fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>]);

    /// Replaces files by one that holds only what is needed of them, so that a few bytes do not keep the space of many.
    ///
    /// The caller promises to read nothing else of their entries any more; what it keeps is read under the same lsn and
    /// offsets as before, also after a later claim, and is freed by [`Writer::trim`] as all else. Of the sources, only those
    /// that [`SegmentInfo::is_compactable`] are replaced. Done in the background, one compaction at a time: what is asked for
    /// meanwhile is not done. It may do less than asked, as with too little room for the new file, or when something
    /// to be kept cannot be read as it was written: then all stays as it was. An engine without files has nothing to do.
    fn compact(&mut self, _compaction: Compaction) {}

    /// How many compactions were done since the claim. One atomic read; a wake follows each change.
    fn compacted_count(&self) -> u64 {
        0
    }

    /// The segments and compacted files that hold entries, each in order, the compacted ones first. Takes a lock for a moment
    /// and allocates: not for hot paths.
    fn segments(&self) -> Vec<SegmentInfo>;

    /// How many segments were sealed since the claim. When it grows it is a good time for a checkpoint, since
    /// there is something to free. One atomic read; a wake follows each change.
    fn sealed_count(&self) -> u64;

    /// Waits until all that was submitted is durable or the state is terminal, and marks a clean end.
    ///
    /// Waits for the storage: do not call it with a lock held that the [`Wake`] takes. Returns the final
    /// state.
    fn close(self: Box<Self>) -> State;
}

/// Called by an engine when there is something new to see; see [`Writer::watch`].
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How far a log is durable, or why it has ended.
///
/// ```text
///   Durable(0) ─> Durable(7) ─> Durable(9) ─┬─> Fenced
///                                           └─> Lost
/// ```
#[derive(Clone, Debug)]
pub enum State {
    /// All entries up to this one are durable. Never goes back.
    Durable(Lsn),
    /// A later claim took the log over. What was not told durable before is unknown. Terminal.
    Fenced {
        /// The epoch of that claim.
        by: Epoch,
    },
    /// A write or a sync failed. Entries above `durable` are unknown. Terminal.
    Lost {
        /// The last position that is durable for sure.
        durable: Lsn,
        /// The last entry that was submitted.
        submitted: Lsn,
        /// What happened and what to do.
        reason: Arc<LostReason>,
    },
}

impl State {
    /// The durable position, unless the state is terminal.
    pub fn durable(&self) -> Option<Lsn> {
        match self {
            State::Durable(lsn) => Some(*lsn),
            State::Fenced { .. } | State::Lost { .. } => None,
        }
    }
}

/// What was submitted and is not durable yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Number of entries.
    pub entries: u64,
    /// Sum of their payloads, in bytes.
    pub bytes: u64,
}

/// How much can be appended to a log. An entry takes up to 4160 bytes more than its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes for which there are files already.
    pub sure_bytes: u64,
    /// Bytes that the storage had free beyond them when it was last asked. 0 once it has refused more.
    pub further_bytes: u64,
}

impl Room {
    /// Of an engine that knows no bound.
    pub const UNBOUNDED: Room = Room { sure_bytes: u64::MAX, further_bytes: 0 };

    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.sure_bytes.saturating_add(self.further_bytes)
    }
}

/// The answer to one [`Writer::read`].
#[derive(Clone, Debug)]
pub struct ReadDone {
    /// The ticket of the question.
    pub ticket: u64,
    /// The bytes asked for.
    pub result: Result<Bytes, BodyError>,
}

/// One segment of a log, or a compacted file: the unit in which space is freed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; grows with every new one of its kind.
    pub number: u64,
    /// The first entry in it.
    pub first: Lsn,
    /// The last entry in it.
    pub last: Lsn,
    /// Space it takes, in bytes.
    pub bytes: u64,
    /// Whether entries are no longer appended to it.
    pub sealed: bool,
    /// Of a compacted file, the entries that it has parts of, as ascending ranges. A segment has all between its first and
    /// its last.
    pub compacted: Option<Arc<[RangeInclusive<Lsn>]>>,
    /// It may be compacted: no replay ever begins in it, and nothing of it was found damaged.
    pub is_compactable: bool,
}

impl SegmentInfo {
    /// What it is called.
    pub fn name(&self) -> SegmentName {
        match self.compacted {
            None => SegmentName::Written(self.number),
            Some(_) => SegmentName::Compacted(self.number),
        }
    }

    /// The entries that it holds, or has parts of, as ascending ranges.
    pub fn entries(&self) -> Vec<RangeInclusive<Lsn>> {
        match &self.compacted {
            None => vec![self.first..=self.last],
            Some(entries) => entries.to_vec(),
        }
    }
}

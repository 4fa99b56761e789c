//! What a survey finds.

use std::ops::{Range, RangeInclusive};

use crate::{Epoch, Lsn, SegmentName};

/// What became of the file `CLAIM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimFinding {
    /// It can be read.
    Whole {
        /// The mark of the log's entries.
        log_id: u64,
        /// The epoch of the last claim.
        epoch: Epoch,
        /// All entries up to this one were durable when it was written.
        durable: Lsn,
    },
    /// There is none: the log is new, or the file was lost.
    Missing,
    /// It cannot be read.
    Damaged {
        /// What is wrong.
        detail: String,
    },
}

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFinding {
    /// The file, relative to the journal's root.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// Size of the file.
    pub bytes: u64,
    /// The first entry in it that can be read; [`Lsn::ZERO`] if there is none.
    pub first: Lsn,
    /// The last entry in it that can be read; [`Lsn::ZERO`] if there is none.
    pub last: Lsn,
    /// Entries in it that can be read.
    pub entries: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Whether another segment follows.
    pub sealed: bool,
    /// The epoch of the claim that started it, if its header can be read.
    pub epoch: Option<Epoch>,
}

/// One compacted file: what was kept of several segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactedFinding {
    /// The file, relative to the journal's root.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// Size of the file.
    pub bytes: u64,
    /// The first entry that it has a readable part of; [`Lsn::ZERO`] if there is none.
    pub first: Lsn,
    /// The last one; [`Lsn::ZERO`] if there is none.
    pub last: Lsn,
    /// Entries that it has readable parts of.
    pub entries: u64,
    /// Bytes of those parts.
    pub payload_bytes: u64,
    /// The files that it replaces, as far as that can be read.
    pub sources: Vec<SegmentName>,
    /// Its header and what stands behind its index can be read.
    pub has_header: bool,
    /// Blocks of its index that cannot be read.
    pub(in crate::file) blocks_lost: Vec<u32>,
    /// What can be read, in order.
    pub(in crate::file) parts: Vec<(Lsn, Range<u32>)>,
}

/// One spare file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareFinding {
    /// The file, relative to the journal's root.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
}

/// A place that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Of what kind.
    pub kind: FlawKind,
    /// The file, relative to the journal's root.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The entries that cannot be read because of it.
    pub entries: Option<RangeInclusive<Lsn>>,
    /// What is wrong.
    pub detail: String,
}

/// What a flaw has hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// The file `CLAIM`.
    Claim,
    /// The header of a segment, or its size. Its entries may be whole.
    SegmentHeader,
    /// Entries, by their headers or their payloads.
    Entries,
    /// The header or the index of a compacted file.
    Compacted,
    /// Whole segments: there is no file between two others. So does trimming leave it.
    Gap,
    /// An entry that is whole, but not written behind the one in front of it.
    Chain,
}

/// What a claim would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foresight {
    /// The last entry of the log.
    pub tail: Lsn,
    /// What would be cut off behind it.
    pub torn: Option<TornTail>,
}

/// What a crash has left of entries that nobody was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file, relative to the journal's root.
    pub file: String,
    /// Where in the file it begins.
    pub offset: u64,
    /// The first entry that is cut off.
    pub lsn: Lsn,
    /// What is wrong with it.
    pub detail: String,
}

impl CompactedFinding {
    /// Whether all of this part of an entry is there and as it was written.
    pub(super) fn holds(&self, lsn: Lsn, part: &Range<u32>) -> bool {
        let at = self.parts.partition_point(|(of, range)| (*of, range.start) <= (lsn, part.start));
        let found = at.checked_sub(1).and_then(|at| self.parts.get(at));
        found.is_some_and(|(of, range)| *of == lsn && part.end <= range.end)
    }
}

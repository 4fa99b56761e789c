//! What is kept of files that hold little that is needed.

use std::fmt;
use std::ops::Range;

use crate::Lsn;

/// One of the files that hold entries of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentName {
    /// A segment, as entries were written to it.
    Written(u64),
    /// A file with what was kept of several others.
    Compacted(u64),
}

impl fmt::Display for SegmentName {
    /// The name of the file in the folder of its log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentName::Written(number) => write!(formatter, "{number:016x}.seg"),
            SegmentName::Compacted(number) => write!(formatter, "{number:016x}.compacted"),
        }
    }
}

/// Files to be replaced by one that holds only what is needed of them; see [`Writer::compact`](crate::Writer::compact).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// What is replaced.
    pub sources: Vec<SegmentName>,
    /// What is kept of their entries, in ascending order.
    pub survivors: Vec<Survivor>,
}

/// What is kept of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The entry.
    pub lsn: Lsn,
    /// What of it.
    pub kept: Kept,
}

/// How much of an entry is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it, as far as it is still there.
    Whole,
    /// These parts of its payload, counted in bytes from its start: ascending, without overlaps. They keep their offsets.
    Parts(Vec<Range<u32>>),
}

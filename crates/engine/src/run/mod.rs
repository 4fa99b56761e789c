//! A run: sorted rows in checked blocks, found by an index. Written once, synced once, never changed.
//!
//! ```text
//! "FBRUN" 0 0 3   magic and format version
//! block*          u32 length | u32 CRC-32C of the rest | row*            (integers big-endian)
//! filters         u32 length | u32 CRC-32C of the rest | filter*
//! index           u32 length | u32 CRC-32C of the rest | entry*
//! footer          u64 offset of the filters | u64 offset of the index | u64 rows | u64 of them gone | u32 CRC-32C of the filters
//!                 | u32 CRC-32C of the index | u32 CRC-32C of these 40 bytes
//!
//! row             u16 length | key | u32 length | value; a row that is gone has the length 0xffffffff and no value
//! filter          u16 length | first key | u16 length | last key | u32 length | bits, the first the lowest of the first byte
//! entry           u16 length | first key | u16 length | last key | u64 offset of the block | u32 its length | u32 its CRC-32C
//!                 | u32 rows in it | u64 lowest, u64 highest journal entry that they name; zeros if none
//! ```
//!
//! A row that stands alone is a block of its own, and its entry has no last key. If it is gone there is no block: offset, length and
//! checksum are zeros. No block and no filter has rows of two tables; which tables have filters, [`broker::is_read_by_point`] says. The
//! checksum in the footer is that of all: the index has those of the blocks.
//!
//! Version 2, which is read, had no filters: neither they nor what the footer says of them. Its blocks may have rows of several tables.

mod filters;
mod footer;
mod index;
mod merged;
mod reader;
mod scan;
mod version_1;
mod writer;

use std::sync::Arc;

use broker::Lsn;
use bytes::Bytes;
use journal::storage::StorageFile;

pub(crate) use filters::Filters;
pub(crate) use index::{Index, IndexEntry};
pub(crate) use merged::Merged;
pub(crate) use reader::RunRows;
pub(crate) use version_1::read as read_version_1;
pub(crate) use writer::{RowToWrite, RunWriter};

const MAGIC: &[u8; 8] = b"FBRUN\0\0\x03";
/// That of the version before, which is read.
const MAGIC_2: &[u8; 8] = b"FBRUN\0\0\x02";
/// A block is closed at this many bytes: what is read to find one row.
const BLOCK_BYTES: usize = 4 * 1024;
/// In front of a block and of the index.
const FRAME_BYTES: u64 = 8;
/// Stands for the length of a value: there is no such row any more.
const GONE: u32 = u32::MAX;

/// A row as a run has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: Bytes,
    /// `None`: there is no such row any more, whatever older runs say.
    pub(crate) value: Option<Bytes>,
    /// The lowest and the highest journal entry that it names.
    pub(crate) entries: Option<(Lsn, Lsn)>,
    /// It stands alone.
    pub(crate) is_alone: bool,
}

/// A run on disk, with its index and its filters in memory.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// Of everything in it.
    pub(crate) checksum: u32,
    pub(crate) rows: u64,
    pub(crate) weight: Weight,
    pub(crate) index: Index,
    pub(crate) filters: Filters,
}

/// How much of what is in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Rows that stand alone.
    pub(crate) alone: Kind,
    /// All others.
    pub(crate) others: Kind,
}

/// Rows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Of those with a value.
    pub(crate) bytes: u64,
    /// With a value.
    pub(crate) rows: u64,
    /// Rows that say that there is no such row any more.
    pub(crate) gone: u64,
}

impl Kind {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, rows: self.rows + other.rows, gone: self.gone + other.gone }
    }
}

/// A run with its file.
pub(crate) type RunFile = (Arc<Run>, Arc<dyn StorageFile>);

/// Something in a run is not as it was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("run {number} is damaged at byte {offset}: {detail}")]
pub(crate) struct RunDamage {
    /// Which run.
    pub(crate) number: u64,
    /// Where in its file.
    pub(crate) offset: u64,
    /// What is wrong there.
    pub(crate) detail: String,
    /// The first and the last key of the rows that were there; nothing if nobody knows.
    pub(crate) keys: Option<(Bytes, Bytes)>,
}

impl RunDamage {
    /// Whether a row of this key may have been there.
    pub(crate) fn may_have_had(&self, key: &[u8]) -> bool {
        self.keys.as_ref().is_some_and(|(first, last)| (&first[..]..=&last[..]).contains(&key))
    }

    /// The key of the row that was there, if it was one alone.
    pub(crate) fn only_key(&self) -> Option<Bytes> {
        let (first, last) = self.keys.as_ref()?;
        (first == last).then(|| first.clone())
    }

    fn new(number: u64, offset: u64, detail: impl Into<String>) -> Self {
        Self { number, offset, detail: detail.into(), keys: None }
    }
}

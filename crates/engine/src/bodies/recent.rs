//! The journal's newest entries, as they were appended.

use std::collections::VecDeque;
use std::ops::Range;

use broker::Lsn;
use bytes::Bytes;

/// Consecutive entries up to the newest, found by arithmetic.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    first: Lsn,
    entries: VecDeque<CachedEntry>,
    bytes: u64,
}

#[derive(Debug)]
struct CachedEntry {
    bytes: Bytes,
    /// Memory that goes when the entry goes: its own, and what its chunk could not use behind it.
    footprint_bytes: u64,
}

impl Recent {
    /// Bytes of memory that the entries keep.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, lsn: Lsn, entry: Bytes) {
        if self.entries.is_empty() {
            self.first = lsn;
        }
        debug_assert_eq!(lsn.0, self.first.0 + self.entries.len() as u64, "entries are consecutive");
        let footprint_bytes = entry.len() as u64;
        self.bytes += footprint_bytes;
        self.entries.push_back(CachedEntry { bytes: entry, footprint_bytes });
    }

    /// Notes memory behind the newest entry that can't be used.
    pub(crate) fn add_unused(&mut self, bytes: usize) {
        if let Some(last) = self.entries.back_mut() {
            last.footprint_bytes += bytes as u64;
            self.bytes += bytes as u64;
        }
    }

    /// Hands out the oldest entry if more than `budget` bytes are kept.
    pub(crate) fn pop_over(&mut self, budget: u64) -> Option<Bytes> {
        if self.bytes <= budget {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.footprint_bytes;
        self.first = self.first.next();
        Some(entry.bytes)
    }

    pub(crate) fn find(&self, lsn: Lsn, range: Range<u32>) -> Option<Bytes> {
        let at = usize::try_from(lsn.0.checked_sub(self.first.0)?).ok()?;
        Some(self.entries.get(at)?.bytes.slice(range.start as usize..range.end as usize))
    }
}

//! The journal's newest entries, as they were appended.

use std::collections::VecDeque;
use std::ops::Range;

use broker::Lsn;
use bytes::Bytes;

/// Consecutive entries up to the newest, found by arithmetic.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    first: Lsn,
    entries: VecDeque<Bytes>,
    bytes: u64,
}

impl Recent {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, lsn: Lsn, entry: Bytes) {
        if self.entries.is_empty() {
            self.first = lsn;
        }
        debug_assert_eq!(lsn.0, self.first.0 + self.entries.len() as u64, "entries are consecutive");
        self.bytes += entry.len() as u64;
        self.entries.push_back(entry);
    }

    /// Drops the oldest entries until no more than `budget` bytes are left.
    pub(crate) fn shrink_to(&mut self, budget: u64) {
        while self.bytes > budget
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= entry.len() as u64;
            self.first = self.first.next();
        }
    }

    pub(crate) fn find(&self, lsn: Lsn, range: Range<u32>) -> Option<Bytes> {
        let at = usize::try_from(lsn.0.checked_sub(self.first.0)?).ok()?;
        Some(self.entries.get(at)?.slice(range.start as usize..range.end as usize))
    }
}

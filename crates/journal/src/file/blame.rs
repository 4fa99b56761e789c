//! Where a missing entry should be: the file that an error names is the one that somebody will look at, or bring back.

use super::folder::Failure;
use super::format::BLOCK_BYTES;
use super::walk::{Found, Invalid, SegmentWalk};
use crate::{ClaimError, Lsn};

/// The break of the chain: what is missing, and where it was looked for first.
pub(super) struct Break<'a> {
    pub(super) walk: &'a SegmentWalk,
    pub(super) offset: u64,
    pub(super) expected: Lsn,
    pub(super) invalid: Invalid,
    /// The segment that follows, if it is there, and its first entry's header, if that can be read.
    pub(super) next: Option<(&'a SegmentWalk, Option<Found>)>,
}

impl Break<'_> {
    /// The error for an entry that was durable. It stands at the break, or, if the segment has nothing more to tell, at the
    /// start of the next one.
    pub(super) fn damage(&self) -> Result<ClaimError, Failure> {
        let here = || corrupt(&self.walk.file.path, self.offset, self.expected, self.invalid);
        let Some((next, first)) = self.next.filter(|(next, _)| next.number == self.walk.number + 1) else {
            return Ok(here());
        };
        let there = |detail: &str| corrupt(&next.file.path, BLOCK_BYTES, self.expected, detail);
        if first.is_some_and(|found| found.header.lsn == self.expected) {
            let entry = next.entry(BLOCK_BYTES, self.expected, None)?;
            return Ok(there(entry.err().unwrap_or("the entry does not follow the one before it")));
        }
        if first.is_some() || self.is_followed_here()? {
            return Ok(here());
        }
        // Which of the two it was, nothing can tell: how large it is stands in the header that is lost.
        let detail = next.header(BLOCK_BYTES)?.err().unwrap_or(self.invalid);
        let (path, offset) = (&self.walk.file.path, self.offset);
        Ok(there(&format!("{detail}, and if it was the last one of {path}, there is none at byte {offset}")))
    }

    /// Whether the segment has an entry at the break or behind it, so that this is not its end.
    fn is_followed_here(&self) -> Result<bool, Failure> {
        let mut offset = self.offset;
        while offset < self.walk.bytes {
            if self.walk.header(offset)?.is_ok() {
                return Ok(true);
            }
            offset += BLOCK_BYTES;
        }
        Ok(false)
    }
}

pub(super) fn corrupt(file: &str, offset: u64, lsn: Lsn, detail: &str) -> ClaimError {
    ClaimError::Corrupt { file: file.to_owned(), offset, lsn, detail: detail.to_owned() }
}

//! A segment from its first block to its last: entries, and what lies between them.

use super::super::format::{BLOCK_BYTES, HEADER_BYTES};
use super::super::walk::{Found, SegmentWalk};

/// A part of a segment.
pub(super) enum Stretch {
    /// An entry with a valid header; its payload is not looked at.
    Entry(Found),
    /// Blocks without a valid header.
    Hole {
        /// The first of them.
        offset: u64,
        /// What is wrong with it.
        detail: String,
    },
}

/// Gives out the stretches of a segment, in order.
pub(super) struct Stretches<'a> {
    walk: &'a SegmentWalk,
    offset: u64,
    /// The entry that ended a hole.
    behind_hole: Option<Found>,
}

impl<'a> Stretches<'a> {
    pub(super) fn new(walk: &'a SegmentWalk) -> Self {
        Self { walk, offset: BLOCK_BYTES, behind_hole: None }
    }

    fn look(&self) -> Result<Found, String> {
        match self.walk.header(self.offset) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(invalid)) => Err(invalid.to_owned()),
            Err(failure) => Err(format!("the disk cannot read it ({})", failure.error)),
        }
    }

    fn is_at_end(&self) -> bool {
        self.offset + HEADER_BYTES as u64 > self.walk.bytes
    }

    fn entry(&mut self, found: Found) -> Option<Stretch> {
        self.offset = found.end();
        Some(Stretch::Entry(found))
    }
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        if let Some(found) = self.behind_hole.take() {
            return self.entry(found);
        }
        if self.is_at_end() {
            return None;
        }
        let (start, detail) = match self.look() {
            Ok(found) => return self.entry(found),
            Err(detail) => (self.offset, detail),
        };
        while !self.is_at_end() && self.behind_hole.is_none() {
            self.offset += BLOCK_BYTES;
            self.behind_hole = self.look().ok();
        }
        Some(Stretch::Hole { offset: start, detail })
    }
}

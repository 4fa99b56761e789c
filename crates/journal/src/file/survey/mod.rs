//! A look at all of a log, without changing anything: what is whole, what is not, and where.
//!
//! A claim follows the chain of entries and stops where it breaks. A survey goes on behind the break, block by block, and
//! looks at the old segments too, which a claim never reads. It is what a repair works from.

mod entries;
mod findings;
mod kept;
mod look;
mod stretches;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use self::entries::Entries;
pub use self::findings::{
    ClaimFinding, CompactedFinding, Flaw, FlawKind, Foresight, SegmentFinding, SpareFinding, TornTail,
};
use super::folder::Folder;
use super::recovery;
use crate::storage::Storage;
use crate::{ClaimError, Cursor, Entry, Epoch, LogName, Lsn, ReadError};

/// What a log's files hold.
pub struct Survey {
    pub(super) folder: Folder,
    /// The mark of the log's entries; `None` if nothing tells it, and so nothing can be read.
    pub(super) log_id: Option<u64>,
    /// Its claim record.
    pub claim: ClaimFinding,
    /// Its segments, in order.
    pub segments: Vec<SegmentFinding>,
    /// What was kept of segments that are gone, in order.
    pub compacted: Vec<CompactedFinding>,
    /// Files that are kept to become segments; what is in them means nothing.
    pub spares: Vec<SpareFinding>,
    /// What is not as it was written, in the order of the log. Also what was trimmed away: whether anybody needs it,
    /// the owner of the log knows.
    pub flaws: Vec<Flaw>,
    /// All entries up to this one were durable once, as far as anything readable tells.
    pub durable: Lsn,
    /// The highest epoch that anything readable tells of.
    pub epoch: Epoch,
    /// The last entry that can be read.
    pub last: Lsn,
    /// A file with a header that is whole and of a newer version of the format: this one can neither read nor repair the log.
    pub newer: Option<String>,
    /// A crash has interrupted the removal of the log; the next claim goes on with it.
    pub is_half_destroyed: bool,
    /// Whole entries, as ascending ranges.
    whole: Vec<RangeInclusive<Lsn>>,
    /// The header checksum of [`Self::last`].
    pub(super) last_link: u32,
}

impl Survey {
    /// Reads all of a log, which nobody may have claimed meanwhile. `None` if there is no such log.
    ///
    /// Takes as long as the disk takes to read all segments. A place that the disk cannot read is a flaw, not an error.
    ///
    /// # Errors
    /// [`ClaimError::Storage`] when a folder can't be listed or a file can't be opened.
    pub fn of(storage: Arc<dyn Storage>, log: &LogName) -> Result<Option<Survey>, ClaimError> {
        let folder = Folder::new(storage, log.as_str());
        if folder.exists()? { look::look(folder).map(Some) } else { Ok(None) }
    }

    /// What a claim from this cursor would find.
    ///
    /// # Errors
    /// What the claim would be refused with.
    pub fn foresee(&self, from: Option<Cursor>) -> Result<Foresight, ClaimError> {
        let from = match from {
            None => Lsn::ZERO,
            Some(cursor) => cursor.lsn().ok_or(ClaimError::ForeignCursor)?,
        };
        let (log_id, durable) = match &self.claim {
            ClaimFinding::Whole { log_id, durable, .. } => (*log_id, *durable),
            ClaimFinding::Damaged { detail } => return Err(recovery::damaged_claim(&self.folder, detail)),
            // A new log: the claim makes up an id.
            ClaimFinding::Missing => {
                recovery::check_missing_claim(&self.folder)?;
                (0, Lsn::ZERO)
            }
        };
        recovery::foresee(&self.folder, log_id, from, durable)
    }

    /// Whether all of the entry can be read as it was written, from a segment.
    pub fn holds(&self, lsn: Lsn) -> bool {
        let at = self.whole.partition_point(|range| *range.end() < lsn);
        self.whole.get(at).is_some_and(|range| range.contains(&lsn))
    }

    /// Whether this part of an entry can be read as it was written, from a segment or from a compacted file.
    pub fn holds_part(&self, lsn: Lsn, part: Range<u32>) -> bool {
        self.holds(lsn) || self.compacted.iter().any(|compacted| compacted.holds(lsn, &part))
    }

    /// The whole entries behind `from`, in order; damaged ones are passed over.
    pub fn entries(&self, from: Lsn) -> impl Iterator<Item = Result<Entry, ReadError>> + use<'_> {
        Entries::new(self, from)
    }

    /// The flaw that took this entry away, if one is known.
    pub fn flaw_of(&self, lsn: Lsn) -> Option<&Flaw> {
        self.flaws.iter().find(|flaw| flaw.entries.as_ref().is_some_and(|entries| entries.contains(&lsn)))
    }

    /// What lies where the payload of a damaged entry lay, as far as it can be read: nothing vouches for it.
    pub fn remains(&self, flaw: &Flaw) -> Vec<u8> {
        entries::remains(self, flaw)
    }

    fn note_whole(&mut self, lsn: Lsn) {
        match self.whole.last_mut() {
            Some(range) if range.end().next() == lsn => *range = *range.start()..=lsn,
            _ => self.whole.push(lsn..=lsn),
        }
    }
}

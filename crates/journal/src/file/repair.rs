//! Putting a damaged log in order, so that it can be claimed again.
//!
//! Nothing that can be read is taken away: headers of segments are written anew, segments in which nothing can be read go,
//! and behind everything begins a new segment with one empty entry. A claim from there never walks through the
//! damage. What the entries said is not the journal's concern: its owner has replayed those that are whole, and has a
//! checkpoint written at the new end.

use std::io::IoSlice;

use super::FileOptions;
use super::compacted;
use super::folder::{Folder, FolderItem, SEGMENT_BYTES_MIN};
use super::format::{BLOCK_BYTES, ClaimRecord, EntryHeader, SegmentHeader};
use super::spares::Spare;
use super::survey::{CompactedFinding, FlawKind, SegmentFinding, Survey};
use crate::{ClaimError, Cursor, Lsn, SegmentName};

impl Survey {
    /// The files that [`Self::begin_anew`] changes or removes, and those with damage that it leaves, relative to the
    /// journal's root. Whoever repairs copies them first.
    pub fn damaged_files(&self) -> Vec<String> {
        let flawed =
            self.flaws.iter().filter(|flaw| flaw.kind != FlawKind::Gap).map(|flaw| flaw.file.clone());
        let unread = self.segments.iter().filter(|segment| segment.entries == 0);
        let mut files: Vec<String> = flawed.chain(unread.map(|segment| segment.file.clone())).collect();
        files.push(self.folder.claim_path());
        files.sort_unstable();
        files.dedup();
        // Also one that is gone altogether can be a flaw.
        files.retain(|file| self.has_file(file));
        files
    }

    /// Makes the log one that can be claimed from the returned cursor, with the lsn that stands there: above `behind`, and
    /// above every entry that there ever was, as far as anything tells.
    ///
    /// Whatever it is interrupted at, a survey finds every whole entry again, and it can be done once more. The caller
    /// writes its checkpoint afterwards, at the position returned.
    ///
    /// # Errors
    /// [`ClaimError::Storage`].
    pub fn begin_anew(&self, behind: Lsn, options: FileOptions) -> Result<(Lsn, Cursor), ClaimError> {
        let log_id = self.log_id.unwrap_or(options.log_id_seed);
        let (unread, read): (Vec<_>, Vec<_>) = self.segments.iter().partition(|segment| segment.entries == 0);
        for segment in read {
            if segment.epoch.is_none() {
                self.mend_header(segment, log_id)?;
            }
        }
        for finding in &self.compacted {
            self.mend_compacted(finding, log_id)?;
        }
        // From the end on: a crash meanwhile leaves no gap that was not there.
        for segment in unread.iter().rev() {
            self.folder.remove_segment(segment.number)?;
        }
        self.folder.sync()?;
        let lsn = self.last.max(self.durable).max(behind).next();
        self.write_first_entry(log_id, lsn, options)?;
        self.folder.write_claim(ClaimRecord { log_id, epoch: self.epoch, durable: lsn })?;
        Ok((lsn, Cursor::behind(lsn)))
    }

    /// Writes a segment's header as it should be for the file as it is.
    fn mend_header(&self, segment: &SegmentFinding, log_id: u64) -> Result<(), ClaimError> {
        let file = self.folder.open_segment(segment.number)?;
        let bytes = segment.bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(BLOCK_BYTES);
        if bytes != segment.bytes {
            file.lengthen(bytes)?;
        }
        let header = SegmentHeader { log_id, number: segment.number, bytes, epoch: self.epoch };
        file.write(&mut [IoSlice::new(&header.encode())], 0)?;
        Ok(file.sync_all()?)
    }

    /// Makes a compacted file one that a claim opens, with the pieces that can still be found; without its header it has none.
    fn mend_compacted(&self, finding: &CompactedFinding, log_id: u64) -> Result<(), ClaimError> {
        if !finding.has_header {
            return Ok(self.folder.remove_compacted(finding.number)?);
        }
        if finding.blocks_lost.is_empty() {
            return Ok(());
        }
        let file = self.folder.open_compacted(finding.number)?;
        if let Ok(header) = compacted::read_header(&file, finding.number, log_id)? {
            for block in &finding.blocks_lost {
                compacted::blank_block(&file, &header, *block)?;
            }
        }
        Ok(file.sync_all()?)
    }

    /// Starts a segment behind all others, with an empty entry.
    fn write_first_entry(&self, log_id: u64, lsn: Lsn, options: FileOptions) -> Result<(), ClaimError> {
        // One that a compacted file replaces would be freed.
        let replaced = self.compacted.iter().flat_map(|finding| &finding.sources);
        let replaced = replaced.filter_map(|source| match source {
            SegmentName::Written(number) => Some(*number),
            SegmentName::Compacted(_) => None,
        });
        let number =
            replaced.chain(self.segments.last().map(|segment| segment.number)).max().unwrap_or(0) + 1;
        let bytes = options.rounded().segment_bytes_first;
        let spare = next_spare(&self.folder)?;
        let spare = Spare { number: spare, bytes, is_reserve: false };
        self.folder.create_spare(spare, || true)?;
        let link = if self.last.next() == lsn { self.last_link } else { 0 };
        let entry = EntryHeader {
            log_id,
            segment: number,
            lsn,
            epoch: self.epoch,
            durable: lsn.previous(),
            payload_bytes: 0,
            link,
            payload_crc: crc32c::crc32c(&[]),
        };
        // Before the segment has its name, so that it never is one without an entry.
        let (header, _) = entry.encode();
        self.folder.open_spare(spare)?.write(&mut [IoSlice::new(&header)], BLOCK_BYTES)?;
        let header = SegmentHeader { log_id, number, bytes, epoch: self.epoch };
        self.folder.promote_spare(spare, header)?;
        Ok(())
    }

    fn has_file(&self, file: &str) -> bool {
        self.segments.iter().any(|segment| segment.file == file)
            || self.compacted.iter().any(|finding| finding.file == file)
            || (file == self.folder.claim_path() && self.claim != super::survey::ClaimFinding::Missing)
    }
}

fn next_spare(folder: &Folder) -> Result<u64, ClaimError> {
    let numbers = folder.list()?.into_iter().filter_map(|item| match item {
        FolderItem::Spare(number) | FolderItem::Reserve(number) => Some(number),
        _ => None,
    });
    Ok(numbers.max().unwrap_or(0) + 1)
}

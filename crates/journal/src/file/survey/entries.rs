//! Reading the whole entries of a surveyed log.

use super::super::format::{BLOCK_BYTES, HEADER_BYTES};
use super::super::walk::SegmentWalk;
use super::stretches::{Stretch, Stretches};
use super::{Flaw, Survey};
use crate::{Cursor, Entry, Lsn, ReadError};

/// The most that is read of what remains of a damaged entry.
const REMAINS_BYTES_MAX: u64 = 4 << 20;

/// The whole entries behind a place, in order.
pub(super) struct Entries<'a> {
    survey: &'a Survey,
    /// Places of the current segment's entries that are still to be read, the next one last.
    places: Vec<(Lsn, super::super::walk::Found)>,
    walk: Option<SegmentWalk>,
    /// Index of the segment that comes next.
    next_segment: usize,
    from: Lsn,
}

impl<'a> Entries<'a> {
    pub(super) fn new(survey: &'a Survey, from: Lsn) -> Self {
        Self { survey, places: Vec::new(), walk: None, next_segment: 0, from }
    }

    /// Opens the next segment that has something behind the place asked for.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        let Some(log_id) = self.survey.log_id else { return Ok(false) };
        while let Some(finding) = self.survey.segments.get(self.next_segment) {
            self.next_segment += 1;
            if finding.last <= self.from {
                continue;
            }
            let file = self.survey.folder.open_segment(finding.number)?;
            let walk = SegmentWalk::new(file, finding.number, finding.bytes, log_id);
            // An entry of an earlier number than the last is none of those that count.
            let mut last = self.from;
            let places = Stretches::new(&walk).filter_map(|stretch| match stretch {
                Stretch::Entry(found) if found.header.lsn > last && self.survey.holds(found.header.lsn) => {
                    last = found.header.lsn;
                    Some((found.header.lsn, found))
                }
                _ => None,
            });
            self.places = places.collect();
            self.places.reverse();
            self.walk = Some(walk);
            return Ok(true);
        }
        Ok(false)
    }

    fn read(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if let (Some((lsn, found)), Some(walk)) = (self.places.pop(), &self.walk) {
                self.from = lsn;
                let bytes = walk.payload(&found)?.map_err(|invalid| ReadError::Corrupt {
                    file: walk.file.path.clone(),
                    offset: found.offset,
                    lsn,
                    detail: invalid.into(),
                })?;
                return Ok(Some(Entry {
                    lsn,
                    epoch: found.header.epoch,
                    cursor: Cursor::behind(lsn),
                    bytes,
                }));
            }
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

pub(super) fn remains(survey: &Survey, flaw: &Flaw) -> Vec<u8> {
    let Some(finding) = survey.segments.iter().find(|segment| segment.file == flaw.file) else {
        return Vec::new();
    };
    let start = flaw.offset + HEADER_BYTES as u64;
    let Ok(file) = survey.folder.open_segment(finding.number) else { return Vec::new() };
    let next = survey.log_id.and_then(|log_id| {
        let walk = SegmentWalk::new(file.clone(), finding.number, finding.bytes, log_id);
        Stretches::new(&walk).find_map(|stretch| match stretch {
            Stretch::Entry(found) if found.offset > flaw.offset => Some(found.offset),
            _ => None,
        })
    });
    let end = next.unwrap_or(finding.bytes).min(start + REMAINS_BYTES_MAX);
    let mut bytes = vec![0; end.saturating_sub(start) as usize];
    // Block by block: one that the disk cannot read leaves zeros.
    for (at, block) in (start..).step_by(BLOCK_BYTES as usize).zip(bytes.chunks_mut(BLOCK_BYTES as usize)) {
        if file.read(block, at).is_err() {
            block.fill(0);
        }
    }
    bytes
}

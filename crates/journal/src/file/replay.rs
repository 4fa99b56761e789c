//! Reading a log from the cursor of a claim to its tail.

use std::sync::Arc;

use bytes::Bytes;

use super::folder::{Failure, Folder};
use super::format::BLOCK_BYTES;
use super::recovery::Place;
use super::walk::{Found, Invalid, SegmentWalk};
use crate::{Cursor, Entry, Lsn, ReadError, Reader};

pub(super) struct FileReader {
    folder: Folder,
    log_id: u64,
    /// Numbers of the segments that are still to be read, the next one last.
    segments: Vec<u64>,
    walk: Option<SegmentWalk>,
    offset: u64,
    next: Lsn,
    /// What the next entry's link has to be, if that is known.
    link: Option<u32>,
    tail: Lsn,
}

impl FileReader {
    /// `segments` in ascending order; those before `start` are left out.
    pub(super) fn new(
        folder: Folder,
        log_id: u64,
        segments: impl DoubleEndedIterator<Item = u64>,
        start: Place,
        next: Lsn,
        tail: Lsn,
    ) -> FileReader {
        let segments = segments.filter(|&number| number >= start.segment).rev().collect();
        FileReader {
            folder,
            log_id,
            segments,
            walk: None,
            offset: start.offset,
            next,
            link: start.link,
            tail,
        }
    }

    fn open_next_segment(&mut self) -> Result<(), Failure> {
        self.walk = match self.segments.pop() {
            Some(number) => Some(self.open(number)?),
            None => None,
        };
        Ok(())
    }

    fn open(&self, number: u64) -> Result<SegmentWalk, Failure> {
        let file = self.folder.open_segment(number)?;
        let bytes = file.bytes()?;
        Ok(SegmentWalk::new(file, number, bytes, self.log_id))
    }

    /// Goes to the next segment, if the next entry is the first one there. As in recovery, that alone says where a segment
    /// ends: behind its last entry anything may stand.
    fn enter_next_segment(&mut self) -> Result<bool, Failure> {
        let Some(&number) = self.segments.last() else { return Ok(false) };
        let walk = self.open(number)?;
        let is_there = walk.header(BLOCK_BYTES)?.is_ok_and(|found| self.follows(&found).is_ok());
        if is_there {
            self.segments.pop();
            (self.walk, self.offset) = (Some(walk), BLOCK_BYTES);
        }
        Ok(is_there)
    }

    /// Whether it is the next entry, and not one with its number from another past of the log.
    fn follows(&self, found: &Found) -> Result<(), Invalid> {
        match found.header {
            header if header.lsn != self.next => Err("another entry stands in its place"),
            header if self.link.is_some_and(|link| link != header.link) => {
                Err("the entry does not follow the one before it")
            }
            _ => Ok(()),
        }
    }

    /// The next entry, if it is at the current place.
    fn entry_here(&self, walk: &SegmentWalk) -> Result<Result<(Found, Bytes), Invalid>, Failure> {
        let found = walk.header(self.offset)?.and_then(|found| self.follows(&found).map(|()| found));
        match found {
            Ok(found) => Ok(walk.payload(&found)?.map(|bytes| (found, bytes))),
            Err(invalid) => Ok(Err(invalid)),
        }
    }

    fn read(&mut self) -> Result<Entry, ReadError> {
        if self.walk.is_none() {
            self.open_next_segment()?;
        }
        loop {
            let Some(walk) = &self.walk else { return Err(ReadError::Trimmed { lsn: self.next }) };
            let invalid = match self.entry_here(walk)? {
                Ok((found, bytes)) => {
                    (self.offset, self.next, self.link) = (found.end(), self.next.next(), Some(found.crc));
                    let (lsn, epoch) = (found.header.lsn, found.header.epoch);
                    return Ok(Entry { lsn, epoch, cursor: Cursor::behind(lsn), bytes });
                }
                Err(invalid) => invalid,
            };
            let (file, offset, lsn) = (walk.file.path.clone(), self.offset, self.next);
            if !self.enter_next_segment()? {
                return Err(ReadError::Corrupt { file, offset, lsn, detail: invalid.into() });
            }
        }
    }
}

impl Reader for FileReader {
    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.next > self.tail { Ok(None) } else { self.read().map(Some) }
    }
}

impl From<Failure> for ReadError {
    fn from(Failure { file, error, .. }: Failure) -> ReadError {
        ReadError::Storage { file, error: Arc::new(error) }
    }
}

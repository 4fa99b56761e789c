//! Writing a compacted file.

use std::io::IoSlice;

use mistakes::{Mistake, is_planted};

use super::super::folder::{Failure, Folder, NamedFile};
use super::super::format::{BLOCK_BYTES, CompactedHeader};
use super::index::{self, PIECE_BYTES_MAX, PIECES_PER_BLOCK, Piece};
use super::{Compacted, IS_COMPACTED};
use crate::{Lsn, SegmentName};

/// So much of an index is written in one go.
const BLOCKS_PER_WRITE: usize = 64;

/// A compacted file that is being written, under a name that means nothing to a claim.
pub(in crate::file) struct Draft {
    folder: Folder,
    file: NamedFile,
    number: u64,
    log_id: u64,
    sources: Vec<SegmentName>,
    /// Bytes that are in the file.
    at: u64,
    /// What comes behind them.
    waiting: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Draft {
    pub(in crate::file) fn begin(
        folder: Folder,
        number: u64,
        log_id: u64,
        sources: Vec<SegmentName>,
    ) -> Result<Draft, Failure> {
        let file = folder.create_draft(number)?;
        let (waiting, pieces) = (Vec::new(), Vec::new());
        Ok(Draft { folder, file, number, log_id, sources, at: BLOCK_BYTES, waiting, pieces })
    }

    /// How large it is so far, in bytes.
    pub(in crate::file) fn bytes(&self) -> u64 {
        self.at + self.waiting.len() as u64
    }

    /// Whether nothing was kept so far.
    pub(in crate::file) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds a part of an entry, behind all that was added.
    pub(in crate::file) fn add(&mut self, lsn: Lsn, offset: u32, part: &[u8]) {
        let mut offset = offset;
        for bytes in part.chunks(PIECE_BYTES_MAX) {
            let at = (self.at + self.waiting.len() as u64) as u32;
            let length = bytes.len() as u32;
            self.pieces.push(Piece { lsn, offset, length, at, crc: crc32c::crc32c(bytes) });
            self.waiting.extend_from_slice(bytes);
            offset += length;
        }
    }

    /// Writes and syncs what was added: little at a time, since a flood would delay the syncs of the log.
    pub(in crate::file) fn flush(&mut self) -> Result<(), Failure> {
        self.write_waiting()?;
        self.file.sync()
    }

    /// Writes the rest, makes all of it durable, and gives the file its name.
    pub(in crate::file) fn finish(&mut self) -> Result<Compacted, Failure> {
        let index_at = (self.at + self.waiting.len() as u64).next_multiple_of(BLOCK_BYTES);
        self.waiting.resize((index_at - self.at) as usize, 0);
        for blocks in self.pieces.chunks(PIECES_PER_BLOCK * BLOCKS_PER_WRITE) {
            let blocks = blocks.chunks(PIECES_PER_BLOCK);
            blocks.for_each(|block| self.waiting.extend(index::encode(self.log_id, self.number, block)));
            self.at = write(&self.file, &mut self.waiting, self.at)?;
        }
        let names = self.sources.iter().flat_map(|source| match source {
            SegmentName::Written(number) => number.to_le_bytes(),
            SegmentName::Compacted(number) => (number | IS_COMPACTED).to_le_bytes(),
        });
        let names: Vec<u8> = names.collect();
        let header = CompactedHeader {
            log_id: self.log_id,
            number: self.number,
            bytes: self.at + self.waiting.len() as u64 + names.len() as u64,
            index_at,
            index_blocks: self.pieces.len().div_ceil(PIECES_PER_BLOCK) as u32,
            sources: self.sources.len() as u32,
            sources_crc: crc32c::crc32c(&names),
        };
        self.waiting.extend(names);
        self.write_waiting()?;
        self.file.write(&mut [IoSlice::new(&header.encode())], 0)?;
        if !is_planted(Mistake::CompactionNotSynced) {
            self.file.sync_all()?;
        }
        self.folder.publish_draft(self.number)?;
        let sources = std::mem::take(&mut self.sources);
        Ok(Compacted::new(&header, self.pieces.chunks(PIECES_PER_BLOCK), sources))
    }

    /// Takes the file away, whichever name it has, as far as that is possible; a draft that is left, the next claim removes.
    pub(in crate::file) fn abandon(&self) {
        let removed = self.folder.remove_draft(self.number);
        if let Err(Failure { operation, file, error }) =
            removed.or_else(|_| self.folder.remove_compacted(self.number))
        {
            tracing::debug!(operation, file, %error, "cannot remove an unfinished compacted file");
        }
    }

    fn write_waiting(&mut self) -> Result<(), Failure> {
        self.at = write(&self.file, &mut self.waiting, self.at)?;
        Ok(())
    }
}

/// Writes what waits. Where the file ends then.
fn write(file: &NamedFile, waiting: &mut Vec<u8>, at: u64) -> Result<u64, Failure> {
    if waiting.is_empty() {
        return Ok(at);
    }
    file.write(&mut [IoSlice::new(waiting)], at)?;
    let end = at + waiting.len() as u64;
    waiting.clear();
    Ok(end)
}

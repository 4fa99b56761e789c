//! Compacted files: what was kept of several segments, each piece at the lsn and offset that it had there.
//!
//! ```text
//!   header | pieces, one behind the other | index | names of the files that it replaces
//! ```
//!
//! Nothing in it is ever replayed: it only answers for places. It is written once, under another name, and has its own only when
//! all of it is synced.

mod draft;
mod index;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

pub(super) use self::draft::Draft;
pub(super) use self::index::Piece;
use super::folder::{Failure, NamedFile};
use super::format::{BLOCK_BYTES, CompactedHeader, HEADER_BYTES};
use super::segments::Condemned;
use super::walk::Invalid;
use crate::{Lsn, SegmentInfo, SegmentName};

/// In the name of a source: it is a compacted file, not a segment.
const IS_COMPACTED: u64 = 1 << 63;

/// Part of a file that is not as it was written: where, and what is wrong.
pub(super) type Spoilt = (u64, Invalid);

/// A compacted file of a claimed log.
#[derive(Debug)]
pub(super) struct Compacted {
    pub(super) number: u64,
    bytes: u64,
    log_id: u64,
    index_at: u64,
    /// The entries that it has pieces of: ascending, what touches joined.
    entries: Arc<[RangeInclusive<Lsn>]>,
    /// The first key of each block of the index; of an empty one, that of the next.
    firsts: Vec<(Lsn, u32)>,
    /// The files that it replaces.
    pub(super) sources: Vec<SegmentName>,
    is_spoiled: AtomicBool,
}

/// Checks the header of a compacted file.
pub(super) fn read_header(
    file: &NamedFile,
    number: u64,
    log_id: u64,
) -> Result<Result<CompactedHeader, Invalid>, Failure> {
    let bytes = file.bytes()?;
    if bytes < BLOCK_BYTES {
        return Ok(Err("the compacted file is too short"));
    }
    let mut block = [0; HEADER_BYTES];
    file.read(&mut block, 0)?;
    let header = match CompactedHeader::decode(&block) {
        Ok(header) => header,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let index_end = header.index_at.saturating_add(u64::from(header.index_blocks) * BLOCK_BYTES);
    Ok(match () {
        () if (header.log_id, header.number) != (log_id, number) => {
            Err("the compacted file belongs to another log or place")
        }
        () if header.bytes != bytes || index_end.saturating_add(8 * u64::from(header.sources)) != bytes => {
            Err("the compacted file has another size than it was made with")
        }
        () => Ok(header),
    })
}

/// Where a block of the index begins.
pub(super) fn block_at(header: &CompactedHeader, block: u32) -> u64 {
    header.index_at + u64::from(block) * BLOCK_BYTES
}

/// The pieces of a block of the index.
pub(super) fn read_block(
    file: &NamedFile,
    header: &CompactedHeader,
    block: u32,
) -> Result<Result<Vec<Piece>, Invalid>, Failure> {
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    file.read(&mut bytes, block_at(header, block))?;
    Ok(index::decode(header.log_id, header.number, &bytes))
}

/// Replaces a block of the index, which cannot be read, by one without pieces.
pub(super) fn blank_block(file: &NamedFile, header: &CompactedHeader, block: u32) -> Result<(), Failure> {
    let bytes = index::encode(header.log_id, header.number, &[]);
    file.write(&mut [std::io::IoSlice::new(&bytes)], block_at(header, block))
}

/// The names of the files that it replaces, and where they stand.
pub(super) fn read_sources(
    file: &NamedFile,
    header: &CompactedHeader,
) -> Result<Result<Vec<SegmentName>, Spoilt>, Failure> {
    let at = block_at(header, header.index_blocks);
    let mut bytes = vec![0; header.sources as usize * 8];
    file.read(&mut bytes, at)?;
    if crc32c::crc32c(&bytes) != header.sources_crc {
        return Ok(Err((at, "the checksum of the sources is wrong")));
    }
    let name = |bytes: &[u8]| {
        let mut number = [0; 8];
        number.copy_from_slice(bytes);
        match u64::from_le_bytes(number) {
            number if number & IS_COMPACTED == 0 => SegmentName::Written(number),
            number => SegmentName::Compacted(number & !IS_COMPACTED),
        }
    };
    Ok(Ok(bytes.chunks_exact(8).map(name).collect()))
}

/// The bytes of a piece, if they are as they were written.
pub(super) fn read_piece(file: &NamedFile, piece: &Piece) -> Result<Result<Bytes, Invalid>, Failure> {
    let mut bytes = vec![0; piece.length as usize];
    file.read(&mut bytes, u64::from(piece.at))?;
    match crc32c::crc32c(&bytes) == piece.crc {
        true => Ok(Ok(bytes.into())),
        false => Ok(Err("the checksum of a kept piece is wrong")),
    }
}

impl Compacted {
    /// Reads all but the pieces themselves.
    pub(super) fn open(
        file: &NamedFile,
        number: u64,
        log_id: u64,
    ) -> Result<Result<Compacted, Spoilt>, Failure> {
        let header = match read_header(file, number, log_id)? {
            Ok(header) => header,
            Err(invalid) => return Ok(Err((0, invalid))),
        };
        let sources = match read_sources(file, &header)? {
            Ok(sources) => sources,
            Err(spoilt) => return Ok(Err(spoilt)),
        };
        let mut pieces = Vec::with_capacity(header.index_blocks as usize);
        for block in 0..header.index_blocks {
            match read_block(file, &header, block)? {
                Ok(of_block) => pieces.push(of_block),
                Err(invalid) => return Ok(Err((block_at(&header, block), invalid))),
            }
        }
        Ok(Ok(Compacted::new(&header, pieces.iter().map(Vec::as_slice), sources)))
    }

    fn new<'a>(
        header: &CompactedHeader,
        blocks: impl DoubleEndedIterator<Item = &'a [Piece]> + Clone,
        sources: Vec<SegmentName>,
    ) -> Compacted {
        let mut entries: Vec<RangeInclusive<Lsn>> = Vec::new();
        for piece in blocks.clone().flatten() {
            match entries.last_mut() {
                Some(range) if piece.lsn <= range.end().next() => *range = *range.start()..=piece.lsn,
                _ => entries.push(piece.lsn..=piece.lsn),
            }
        }
        let mut firsts = Vec::new();
        for block in blocks.rev() {
            let next = firsts.last().copied().unwrap_or((Lsn(u64::MAX), u32::MAX));
            firsts.push(block.first().map_or(next, Piece::key));
        }
        firsts.reverse();
        let CompactedHeader { number, bytes, log_id, index_at, .. } = *header;
        let (entries, is_spoiled) = (entries.into(), AtomicBool::new(false));
        Compacted { number, bytes, log_id, index_at, entries, firsts, sources, is_spoiled }
    }

    /// The entries that it has pieces of, as ascending ranges.
    pub(super) fn entries(&self) -> &[RangeInclusive<Lsn>] {
        &self.entries
    }

    pub(super) fn first(&self) -> Lsn {
        self.entries.first().map_or(Lsn::ZERO, |range| *range.start())
    }

    pub(super) fn last(&self) -> Lsn {
        self.entries.last().map_or(Lsn::ZERO, |range| *range.end())
    }

    /// Whether it has pieces of the entry.
    pub(super) fn has(&self, lsn: Lsn) -> bool {
        let at = self.entries.partition_point(|range| *range.end() < lsn);
        self.entries.get(at).is_some_and(|range| *range.start() <= lsn)
    }

    /// The first of its entries behind `lsn`.
    pub(super) fn next_entry(&self, lsn: Lsn) -> Option<Lsn> {
        let at = self.entries.partition_point(|range| *range.end() <= lsn);
        self.entries.get(at).map(|range| lsn.next().max(*range.start()))
    }

    pub(super) fn condemned(&self) -> Condemned {
        Condemned { name: SegmentName::Compacted(self.number), bytes: self.bytes }
    }

    pub(super) fn spoil(&self) {
        self.is_spoiled.store(true, Ordering::Relaxed);
    }

    pub(super) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            number: self.number,
            first: self.first(),
            last: self.last(),
            bytes: self.bytes,
            sealed: true,
            compacted: Some(self.entries.clone()),
            is_compactable: !self.is_spoiled.load(Ordering::Relaxed),
        }
    }

    /// The pieces that have something of this part of the entry, in order.
    pub(super) fn pieces(
        &self,
        file: &NamedFile,
        lsn: Lsn,
        part: &Range<u32>,
    ) -> Result<Result<Vec<Piece>, Spoilt>, Failure> {
        let header = CompactedHeader {
            log_id: self.log_id,
            number: self.number,
            bytes: self.bytes,
            index_at: self.index_at,
            index_blocks: self.firsts.len() as u32,
            sources: 0,
            sources_crc: 0,
        };
        let mut found = Vec::new();
        let first = self.firsts.partition_point(|first| *first <= (lsn, part.start)).saturating_sub(1);
        for block in first..self.firsts.len() {
            if self.firsts[block] >= (lsn, part.end) {
                break;
            }
            let pieces = match read_block(file, &header, block as u32)? {
                Ok(pieces) => pieces,
                Err(invalid) => return Ok(Err((block_at(&header, block as u32), invalid))),
            };
            let is_wanted =
                |piece: &Piece| piece.lsn == lsn && piece.offset < part.end && piece.end() > part.start;
            found.extend(pieces.into_iter().filter(is_wanted));
        }
        Ok(Ok(found))
    }

    /// A part of an entry; `None` if not all of it was kept.
    pub(super) fn read(
        &self,
        file: &NamedFile,
        lsn: Lsn,
        part: &Range<u32>,
    ) -> Result<Result<Option<Bytes>, Spoilt>, Failure> {
        let pieces = match self.pieces(file, lsn, part)? {
            Ok(pieces) => pieces,
            Err(spoilt) => return Ok(Err(spoilt)),
        };
        let is_joined = pieces.windows(2).all(|pair| pair[1].follows(&pair[0]));
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(Ok(None)) };
        if !is_joined || first.offset > part.start || last.end() < part.end {
            return Ok(Ok(None));
        }
        let mut bytes = vec![0; (last.end() - first.offset) as usize];
        file.read(&mut bytes, u64::from(first.at))?;
        for piece in &pieces {
            let start = (piece.offset - first.offset) as usize;
            if crc32c::crc32c(&bytes[start..start + piece.length as usize]) != piece.crc {
                return Ok(Err((u64::from(piece.at), "the checksum of a kept piece is wrong")));
            }
        }
        let start = (part.start - first.offset) as usize;
        let end = (part.end - first.offset) as usize;
        Ok(Ok(Some(Bytes::from(bytes).slice(start..end))))
    }
}

//! Reading entries one by one out of a segment file, with all checks.

use bytes::Bytes;
use mistakes::{Mistake, is_planted};

use super::folder::{Failure, NamedFile};
use super::format::{EntryHeader, HEADER_BYTES};
use crate::Lsn;

/// Payloads are checked in pieces of this size, so that the largest needs no more memory.
const PIECE_BYTES: usize = 256 * 1024;

/// A valid header and where it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) header: EntryHeader,
    /// The header's own checksum, which the next entry's link has to equal.
    pub(super) crc: u32,
    pub(super) offset: u64,
}

impl Found {
    /// Where the next entry would start.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.header.padded_bytes()
    }

    /// Where the payload starts.
    pub(super) fn payload_at(&self) -> u64 {
        self.offset + HEADER_BYTES as u64
    }
}

/// One segment file as a sequence of entries.
#[derive(Clone)]
pub(super) struct SegmentWalk {
    pub(super) file: NamedFile,
    pub(super) number: u64,
    /// Size of the file.
    pub(super) bytes: u64,
    log_id: u64,
}

/// An entry that is not what should be there, with the reason.
pub(super) type Invalid = &'static str;

/// There is no room for another header.
pub(super) const SEGMENT_ENDS: Invalid = "the segment ends";

/// A header that was there before the file became this segment.
pub(super) const EARLIER_USE: Invalid = "the entry belongs to an earlier use of the file";

impl SegmentWalk {
    pub(super) fn new(file: NamedFile, number: u64, bytes: u64, log_id: u64) -> SegmentWalk {
        SegmentWalk { file, number, bytes, log_id }
    }

    /// The header at `offset`, if it is one of this segment and its entry fits in.
    pub(super) fn header(&self, offset: u64) -> Result<Result<Found, Invalid>, Failure> {
        if offset + HEADER_BYTES as u64 > self.bytes {
            return Ok(Err(SEGMENT_ENDS));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read(&mut bytes, offset)?;
        Ok(self.decode(&bytes, offset))
    }

    /// The log that an entry at `offset` says it belongs to, if one can be read there.
    pub(super) fn log_id_at(file: &NamedFile, offset: u64) -> Option<u64> {
        let mut bytes = [0; HEADER_BYTES];
        file.read(&mut bytes, offset).ok()?;
        EntryHeader::decode(&bytes).ok().map(|(header, _)| header.log_id)
    }

    /// What those bytes of the file say, if they are a header of this segment and its entry fits in.
    pub(super) fn decode(&self, bytes: &[u8; HEADER_BYTES], offset: u64) -> Result<Found, Invalid> {
        let (header, crc) = EntryHeader::decode(bytes)?;
        let found = Found { header, crc, offset };
        if header.log_id != self.log_id || header.segment != self.number {
            return Err(EARLIER_USE);
        }
        if found.end() > self.bytes {
            return Err("the entry is larger than the rest of its segment");
        }
        Ok(found)
    }

    /// The entry at `offset`, if it is `lsn`, follows the one with the header checksum `link` (if that is
    /// known), and its payload is whole.
    pub(super) fn entry(
        &self,
        offset: u64,
        lsn: Lsn,
        link: Option<u32>,
    ) -> Result<Result<Found, Invalid>, Failure> {
        let found = match self.header(offset)? {
            Ok(found) => found,
            Err(invalid) => return Ok(Err(invalid)),
        };
        if found.header.lsn != lsn {
            return Ok(Err("another entry stands in its place"));
        }
        if link.is_some_and(|link| link != found.header.link) {
            return Ok(Err("the entry does not follow the one before it"));
        }
        let is_torn = self.payload_crc(&found)? != found.header.payload_crc;
        if is_torn && !is_planted(Mistake::TornEntryReplayed) {
            return Ok(Err("the checksum of the payload is wrong"));
        }
        Ok(Ok(found))
    }

    /// The whole payload, if its checksum is right.
    pub(super) fn payload(&self, found: &Found) -> Result<Result<Bytes, Invalid>, Failure> {
        let mut bytes = vec![0; found.header.payload_bytes as usize];
        Ok(self.payload_into(found, &mut bytes)?.map(|()| bytes.into()))
    }

    /// Reads the whole payload into a buffer of its size. What is there is good only if its checksum is right.
    pub(super) fn payload_into(
        &self,
        found: &Found,
        bytes: &mut [u8],
    ) -> Result<Result<(), Invalid>, Failure> {
        self.file.read(bytes, found.payload_at())?;
        let is_whole = crc32c::crc32c(bytes) == found.header.payload_crc;
        match is_whole || is_planted(Mistake::TornEntryReplayed) {
            true => Ok(Ok(())),
            false => Ok(Err("the checksum of the payload is wrong")),
        }
    }

    /// The checksum of the payload as it is.
    pub(super) fn payload_crc(&self, found: &Found) -> Result<u32, Failure> {
        let mut left = found.header.payload_bytes as usize;
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        let (mut crc, mut at) = (0, found.payload_at());
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE_BYTES)];
            self.file.read(piece, at)?;
            crc = crc32c::crc32c_append(crc, piece);
            at += piece.len() as u64;
            left -= piece.len();
        }
        Ok(crc)
    }
}

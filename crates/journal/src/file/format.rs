//! The bytes on disk; drawn in `docs/journal-format.md`. All numbers are little-endian.

use crate::{Epoch, Lsn};

/// Everything starts at a multiple of this, so that no write has to read first, and direct I/O stays
/// possible.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// Size of each header, at the start of its block. Smaller than a sector: it is never torn.
pub(super) const HEADER_BYTES: usize = 64;

/// The largest payload, in bytes. The format could hold almost 4 GiB; a bound below that keeps sums far from
/// overflow.
pub(super) const PAYLOAD_BYTES_MAX: u64 = 1 << 30;

/// What is wrong with bytes that are no header at all.
pub(super) const NO_HEADER: &str = "there is no header";

/// What is wrong with a header that is whole, of a version that this one does not know.
pub(super) const UNKNOWN_VERSION: &str =
    "the header is of an unknown format version; it needs a newer Forebay";

const SEGMENT_MAGIC: [u8; 8] = *b"forebayS";
const COMPACTED_MAGIC: [u8; 8] = *b"forebayB";
const CLAIM_MAGIC: [u8; 8] = *b"forebayC";
const ENTRY_MAGIC: [u8; 4] = *b"fbjE";
const VERSION: u16 = 1;
const CRC_AT: usize = HEADER_BYTES - 4;

type HeaderBytes = [u8; HEADER_BYTES];

/// The first block of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log_id: u64,
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) epoch: Epoch,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> HeaderBytes {
        let mut header = Encoder::new(&SEGMENT_MAGIC);
        header.u16(VERSION);
        header.skip(6);
        [self.log_id, self.number, self.bytes, self.epoch.0].iter().for_each(|&field| header.u64(field));
        header.finish()
    }

    /// `Err` says what is wrong.
    pub(super) fn decode(bytes: &HeaderBytes) -> Result<SegmentHeader, &'static str> {
        let mut header = Decoder::new(bytes, &SEGMENT_MAGIC)?;
        header.skip(6);
        let [log_id, number, bytes, epoch] = [(); 4].map(|()| header.u64());
        Ok(SegmentHeader { log_id, number, bytes, epoch: Epoch(epoch) })
    }
}

/// The first block of a compacted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompactedHeader {
    pub(super) log_id: u64,
    pub(super) number: u64,
    /// Size of the file.
    pub(super) bytes: u64,
    /// Where the index begins.
    pub(super) index_at: u64,
    /// How many blocks the index has.
    pub(super) index_blocks: u32,
    /// How many files it replaces: their names stand behind the index.
    pub(super) sources: u32,
    /// The checksum of those names.
    pub(super) sources_crc: u32,
}

impl CompactedHeader {
    pub(super) fn encode(&self) -> HeaderBytes {
        let mut header = Encoder::new(&COMPACTED_MAGIC);
        header.u16(VERSION);
        header.skip(6);
        [self.log_id, self.number, self.bytes, self.index_at].iter().for_each(|&field| header.u64(field));
        [self.index_blocks, self.sources, self.sources_crc].iter().for_each(|&field| header.u32(field));
        header.finish()
    }

    /// `Err` says what is wrong.
    pub(super) fn decode(bytes: &HeaderBytes) -> Result<CompactedHeader, &'static str> {
        let mut header = Decoder::new(bytes, &COMPACTED_MAGIC)?;
        header.skip(6);
        let [log_id, number, bytes, index_at] = [(); 4].map(|()| header.u64());
        let [index_blocks, sources, sources_crc] = [(); 3].map(|()| header.u32());
        Ok(CompactedHeader { log_id, number, bytes, index_at, index_blocks, sources, sources_crc })
    }
}

/// The file `CLAIM` of a log: who owns it, and what is durable without doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClaimRecord {
    pub(super) log_id: u64,
    pub(super) epoch: Epoch,
    /// Everything up to here was durable when the record was written.
    pub(super) durable: Lsn,
}

impl ClaimRecord {
    pub(super) fn encode(&self) -> HeaderBytes {
        let mut header = Encoder::new(&CLAIM_MAGIC);
        header.u16(VERSION);
        header.skip(6);
        [self.log_id, self.epoch.0, self.durable.0].iter().for_each(|&field| header.u64(field));
        header.finish()
    }

    /// `Err` says what is wrong.
    pub(super) fn decode(bytes: &HeaderBytes) -> Result<ClaimRecord, &'static str> {
        let mut header = Decoder::new(bytes, &CLAIM_MAGIC)?;
        header.skip(6);
        let [log_id, epoch, durable] = [(); 3].map(|()| header.u64());
        Ok(ClaimRecord { log_id, epoch: Epoch(epoch), durable: Lsn(durable) })
    }
}

/// What stands in front of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryHeader {
    /// A random number of the log. A peer does not know it, so no payload can pass for an entry.
    pub(super) log_id: u64,
    /// The segment it was written to; tells entries of an earlier life of the file apart.
    pub(super) segment: u64,
    pub(super) lsn: Lsn,
    pub(super) epoch: Epoch,
    /// The durable position when this entry was written; always below `lsn`.
    pub(super) durable: Lsn,
    pub(super) payload_bytes: u32,
    /// The header checksum of the entry before; 0 for entry 1.
    pub(super) link: u32,
    pub(super) payload_crc: u32,
}

impl EntryHeader {
    /// The bytes, and the checksum at their end, which is the next entry's link.
    pub(super) fn encode(&self) -> (HeaderBytes, u32) {
        let mut header = Encoder::new(&ENTRY_MAGIC);
        header.u16(VERSION);
        header.skip(2);
        [self.log_id, self.segment, self.lsn.0, self.epoch.0, self.durable.0]
            .iter()
            .for_each(|&field| header.u64(field));
        [self.payload_bytes, self.link, self.payload_crc].iter().for_each(|&field| header.u32(field));
        let bytes = header.finish();
        (bytes, stored_crc(&bytes))
    }

    /// The header and its checksum. `Err` says what is wrong.
    pub(super) fn decode(bytes: &HeaderBytes) -> Result<(EntryHeader, u32), &'static str> {
        let mut header = Decoder::new(bytes, &ENTRY_MAGIC)?;
        header.skip(2);
        let [log_id, segment, lsn, epoch, durable] = [(); 5].map(|()| header.u64());
        let [payload_bytes, link, payload_crc] = [(); 3].map(|()| header.u32());
        if durable >= lsn {
            return Err("the header claims to be durable before it was written");
        }
        let (lsn, epoch, durable) = (Lsn(lsn), Epoch(epoch), Lsn(durable));
        let entry = EntryHeader { log_id, segment, lsn, epoch, durable, payload_bytes, link, payload_crc };
        Ok((entry, stored_crc(bytes)))
    }

    /// Room that the entry takes, padding included.
    pub(super) fn padded_bytes(&self) -> u64 {
        padded_bytes(u64::from(self.payload_bytes))
    }
}

/// Room that an entry with a payload of this size takes, header and padding included.
pub(super) fn padded_bytes(payload_bytes: u64) -> u64 {
    (HEADER_BYTES as u64 + payload_bytes).next_multiple_of(BLOCK_BYTES)
}

struct Encoder {
    bytes: HeaderBytes,
    at: usize,
}

impl Encoder {
    fn new(magic: &[u8]) -> Encoder {
        let mut encoder = Encoder { bytes: [0; HEADER_BYTES], at: 0 };
        encoder.put(magic);
        encoder
    }

    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
    }

    fn u16(&mut self, field: u16) {
        self.put(&field.to_le_bytes());
    }

    fn u32(&mut self, field: u32) {
        self.put(&field.to_le_bytes());
    }

    fn u64(&mut self, field: u64) {
        self.put(&field.to_le_bytes());
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn finish(mut self) -> HeaderBytes {
        debug_assert!(self.at <= CRC_AT);
        let crc = crc32c::crc32c(&self.bytes[..CRC_AT]);
        self.bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

struct Decoder<'a> {
    bytes: &'a HeaderBytes,
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Behind the version, if magic, checksum and version are right.
    fn new(bytes: &'a HeaderBytes, magic: &[u8]) -> Result<Decoder<'a>, &'static str> {
        if !bytes.starts_with(magic) {
            return Err(NO_HEADER);
        }
        if crc32c::crc32c(&bytes[..CRC_AT]) != stored_crc(bytes) {
            return Err("the checksum of the header is wrong");
        }
        let mut decoder = Decoder { bytes, at: magic.len() };
        match u16::from_le_bytes(decoder.take()) {
            VERSION => Ok(decoder),
            _ => Err(UNKNOWN_VERSION),
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

fn stored_crc(bytes: &HeaderBytes) -> u32 {
    let mut crc = [0; 4];
    crc.copy_from_slice(&bytes[CRC_AT..]);
    u32::from_le_bytes(crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: EntryHeader = EntryHeader {
        log_id: 0x1111,
        segment: 2,
        lsn: Lsn(3),
        epoch: Epoch(4),
        durable: Lsn(1),
        payload_bytes: 5000,
        link: 6,
        payload_crc: 7,
    };

    #[test]
    fn headers_survive_the_disk() {
        let (bytes, crc) = ENTRY.encode();
        assert_eq!(EntryHeader::decode(&bytes), Ok((ENTRY, crc)));
        let segment = SegmentHeader { log_id: 1, number: 2, bytes: 3, epoch: Epoch(4) };
        assert_eq!(SegmentHeader::decode(&segment.encode()), Ok(segment));
        let compacted = CompactedHeader {
            log_id: 1,
            number: 2,
            bytes: 3,
            index_at: 4,
            index_blocks: 5,
            sources: 6,
            sources_crc: 7,
        };
        assert_eq!(CompactedHeader::decode(&compacted.encode()), Ok(compacted));
        let claim = ClaimRecord { log_id: 1, epoch: Epoch(2), durable: Lsn(3) };
        assert_eq!(ClaimRecord::decode(&claim.encode()), Ok(claim));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (bytes, _) = ENTRY.encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(EntryHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn layout_is_as_documented() {
        let (bytes, crc) = ENTRY.encode();
        assert_eq!(&bytes[..8], b"fbjE\x01\0\0\0");
        assert_eq!(bytes[8..16], 0x1111u64.to_le_bytes());
        assert_eq!(bytes[16..24], 2u64.to_le_bytes());
        assert_eq!(bytes[24..32], 3u64.to_le_bytes());
        assert_eq!(bytes[32..40], 4u64.to_le_bytes());
        assert_eq!(bytes[40..48], 1u64.to_le_bytes());
        assert_eq!(bytes[48..52], 5000u32.to_le_bytes());
        assert_eq!(bytes[52..56], 6u32.to_le_bytes());
        assert_eq!(bytes[56..60], 7u32.to_le_bytes());
        assert_eq!(bytes[60..], crc.to_le_bytes());
    }

    #[test]
    fn an_entry_fills_whole_blocks() {
        assert_eq!(padded_bytes(0), 4096);
        assert_eq!(padded_bytes(4032), 4096);
        assert_eq!(padded_bytes(4033), 8192);
    }
}

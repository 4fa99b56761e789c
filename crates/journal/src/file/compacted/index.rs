//! The index of a compacted file: where each piece of an entry lies, in blocks of 4096 bytes.

use super::super::format::{BLOCK_BYTES, NO_HEADER, UNKNOWN_VERSION};
use super::super::walk::Invalid;
use crate::Lsn;

/// A piece is at most this long, so that little is read to be sure of a small part.
pub(super) const PIECE_BYTES_MAX: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"fbjX";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 32;
const PIECE_BYTES: usize = 24;
const CRC_AT: usize = BLOCK_BYTES as usize - 4;

/// Pieces in one block at most.
pub(super) const PIECES_PER_BLOCK: usize = (CRC_AT - HEAD_BYTES) / PIECE_BYTES;

/// A part of an entry's payload, and where in the file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::file) struct Piece {
    pub(in crate::file) lsn: Lsn,
    /// Where in the payload it begins.
    pub(in crate::file) offset: u32,
    pub(in crate::file) length: u32,
    /// Where in the file it begins.
    pub(in crate::file) at: u32,
    pub(in crate::file) crc: u32,
}

impl Piece {
    pub(in crate::file) fn key(&self) -> (Lsn, u32) {
        (self.lsn, self.offset)
    }

    /// Where in the payload it ends.
    pub(in crate::file) fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }

    /// Whether the piece goes on where `before` ends, in the entry and in the file.
    pub(super) fn follows(&self, before: &Piece) -> bool {
        self.lsn == before.lsn && self.offset == before.end() && self.at == before.at + before.length
    }
}

/// One block of the index of the file `number`.
pub(super) fn encode(log_id: u64, number: u64, pieces: &[Piece]) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK_BYTES as usize);
    block.extend(MAGIC);
    block.extend(VERSION.to_le_bytes());
    block.extend([0; 2]);
    block.extend(log_id.to_le_bytes());
    block.extend(number.to_le_bytes());
    block.extend((pieces.len() as u32).to_le_bytes());
    block.extend([0; 4]);
    for piece in pieces {
        block.extend(piece.lsn.0.to_le_bytes());
        [piece.offset, piece.length, piece.at, piece.crc]
            .iter()
            .for_each(|field| block.extend(field.to_le_bytes()));
    }
    block.resize(CRC_AT, 0);
    let crc = crc32c::crc32c(&block);
    block.extend(crc.to_le_bytes());
    block
}

/// The pieces of a block, in order. `Err` says what is wrong.
pub(super) fn decode(log_id: u64, number: u64, block: &[u8]) -> Result<Vec<Piece>, Invalid> {
    let (fields, crc) = block.split_at_checked(CRC_AT).ok_or(NO_HEADER)?;
    if !block.starts_with(&MAGIC) {
        return Err(NO_HEADER);
    }
    if crc32c::crc32c(fields) != u32_at(crc, 0) {
        return Err("the checksum of a block of the index is wrong");
    }
    if fields[4..6] != VERSION.to_le_bytes() {
        return Err(UNKNOWN_VERSION);
    }
    if (u64_at(fields, 8), u64_at(fields, 16)) != (log_id, number) {
        return Err("a block of the index belongs to another file");
    }
    let count = u32_at(fields, 24) as usize;
    let pieces = fields[HEAD_BYTES..].chunks_exact(PIECE_BYTES).take(count);
    let piece = |bytes: &[u8]| {
        let [offset, length, at, crc] = [8, 12, 16, 20].map(|field| u32_at(bytes, field));
        Piece { lsn: Lsn(u64_at(bytes, 0)), offset, length, at, crc }
    };
    let pieces: Vec<Piece> = pieces.map(piece).collect();
    match pieces.len() == count && pieces.is_sorted_by(|one, next| one.key() < next.key()) {
        true => Ok(pieces),
        false => Err("a block of the index is out of order"),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(count: u64) -> Vec<Piece> {
        (0..count).map(|n| Piece { lsn: Lsn(n + 1), offset: 7, length: 5, at: n as u32, crc: 9 }).collect()
    }

    #[test]
    fn a_block_survives_the_disk_and_is_as_documented() {
        let full = pieces(PIECES_PER_BLOCK as u64);
        let block = encode(1, 2, &full);
        assert_eq!((block.len(), PIECES_PER_BLOCK), (4096, 169));
        assert_eq!(decode(1, 2, &block), Ok(full));
        assert_eq!(&block[..8], b"fbjX\x01\0\0\0");
        assert_eq!(block[8..24], [1u64.to_le_bytes(), 2u64.to_le_bytes()].concat());
        assert_eq!(block[24..32], [169, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(block[56..64], 2u64.to_le_bytes());
        assert_eq!(block[64..80], [[7, 0, 0, 0], [5, 0, 0, 0], [1, 0, 0, 0], [9, 0, 0, 0]].concat());
        assert_eq!(decode(1, 2, &encode(1, 2, &[])), Ok(Vec::new()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let block = encode(1, 2, &pieces(3));
        for bit in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(1, 2, &damaged).is_err(), "bit {bit}");
        }
        assert!(decode(1, 3, &block).is_err() && decode(0, 2, &block).is_err());
    }
}

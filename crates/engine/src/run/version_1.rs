//! Runs of version 1, which each held all of the state: read, and no longer written.
//!
//! ```text
//! "FBRUN" 0 0 1        magic and format version
//! block*               u32 length | u32 CRC-32C | row*      (integers big-endian)
//! u32 0 | u32 CRC-32C of the number of rows | u64 number of rows
//! row                  u16 length | key | u32 length | value
//! ```

use bytes::{Buf, Bytes};

const MAGIC: &[u8; 8] = b"FBRUN\0\0\x01";

/// Reads a run; `row` says whether it could take the row. If the run is not whole, the offset of the first block that is
/// not.
pub(crate) fn read(mut run: Bytes, mut row: impl FnMut(&[u8], Bytes) -> Option<()>) -> Result<(), u64> {
    let bytes = run.len();
    if run.len() < MAGIC.len() || run.split_to(MAGIC.len()) != MAGIC[..] {
        return Err(0);
    }
    let mut rows = 0;
    loop {
        let offset = (bytes - run.len()) as u64;
        match read_block(&mut run, &mut rows, &mut row) {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => return Err(offset),
        }
    }
}

/// Reads a block, or the footer: then `false`.
fn read_block(
    run: &mut Bytes,
    rows: &mut u64,
    row: &mut impl FnMut(&[u8], Bytes) -> Option<()>,
) -> Option<bool> {
    let (length, checksum) = (run.try_get_u32().ok()?, run.try_get_u32().ok()?);
    if length == 0 {
        let whole = run.len() == 8 && crc32c::crc32c(run) == checksum && run.get_u64() == *rows;
        return whole.then_some(false);
    }
    let mut block = take(run, length as usize)?;
    if crc32c::crc32c(&block) != checksum {
        return None;
    }
    while !block.is_empty() {
        let length = block.try_get_u16().ok()?;
        let key = take(&mut block, length.into())?;
        let length = block.try_get_u32().ok()?;
        row(&key, take(&mut block, length as usize)?)?;
        *rows += 1;
    }
    Some(true)
}

fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    /// As version 0.1 wrote it, in blocks of 64 KiB.
    fn run(rows: u32) -> Vec<u8> {
        let (mut bytes, mut block) = (MAGIC.to_vec(), Vec::new());
        let mut flush = |block: &mut Vec<u8>| {
            bytes.put_u32(block.len() as u32);
            bytes.put_u32(crc32c::crc32c(block));
            bytes.append(block);
        };
        for number in 0..rows {
            block.put_u16(4);
            block.put_u32(number);
            block.put_u32(number % 300);
            block.put_bytes(number as u8, number as usize % 300);
            if block.len() >= 64 * 1024 {
                flush(&mut block);
            }
        }
        if !block.is_empty() {
            flush(&mut block);
        }
        let rows = u64::from(rows).to_be_bytes();
        bytes.put_u32(0);
        bytes.put_u32(crc32c::crc32c(&rows));
        bytes.put_slice(&rows);
        bytes
    }

    fn rows(bytes: Vec<u8>) -> Option<u32> {
        let mut next = 0u32;
        read(bytes.into(), |key, value| {
            assert_eq!((key, value.len()), (&next.to_be_bytes()[..], next as usize % 300));
            next += 1;
            Some(())
        })
        .ok()?;
        Some(next)
    }

    #[test]
    fn rows_round_trip_over_many_blocks() {
        assert_eq!(rows(run(0)), Some(0));
        assert_eq!(rows(run(3000)), Some(3000));
    }

    #[test]
    fn damage_is_named_by_its_block() {
        let whole = run(3000);
        let second = 8 + 8 + u32::from_be_bytes(whole[8..12].try_into().unwrap()) as usize;
        for (at, offset) in [(3, 0), (8, 8), (500, 8), (second, second), (second + 77, second)] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(read(damaged.into(), |_, _| Some(())), Err(offset as u64), "changed at {at}");
        }
    }

    #[test]
    fn a_cut_or_changed_run_is_noticed() {
        let whole = run(5);
        for at in 0..whole.len() {
            assert!(read(whole[..at].to_vec().into(), |_, _| Some(())).is_err(), "cut at {at}");
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(read(damaged.into(), |_, _| Some(())).is_err(), "changed at {at}");
        }
    }
}

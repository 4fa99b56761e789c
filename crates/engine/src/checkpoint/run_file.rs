//! A run: sorted rows in checked blocks.
//!
//! ```text
//! "FBRUN" 0 0 1        magic and format version
//! block*               u32 length | u32 CRC-32C | row*      (integers big-endian)
//! u32 0 | u32 CRC-32C of the number of rows | u64 number of rows
//! row                  u16 length | key | u32 length | value
//! ```

use bytes::{Buf, BufMut, Bytes};

const MAGIC: &[u8; 8] = b"FBRUN\0\0\x01";
/// A block is closed at this many bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// Builds a run, handing it out piece by piece.
pub(super) struct RunWriter<Sink> {
    sink: Sink,
    block: Vec<u8>,
    rows: u64,
}

impl<Error, Sink: FnMut(&[u8]) -> Result<(), Error>> RunWriter<Sink> {
    pub(super) fn new(mut sink: Sink) -> Result<Self, Error> {
        sink(MAGIC)?;
        Ok(Self { sink, block: Vec::with_capacity(BLOCK_BYTES * 2), rows: 0 })
    }

    /// Adds a row; keys are at most 65,535 bytes.
    pub(super) fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.block.put_u16(u16::try_from(key.len()).expect("a key is below 64 KiB"));
        self.block.put_slice(key);
        self.block.put_u32(u32::try_from(value.len()).expect("a value is below 4 GiB"));
        self.block.put_slice(value);
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        let rows = self.rows.to_be_bytes();
        let mut footer = Vec::new();
        footer.put_u32(0);
        footer.put_u32(crc32c::crc32c(&rows));
        footer.put_slice(&rows);
        (self.sink)(&footer)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut header = Vec::with_capacity(8);
        header.put_u32(u32::try_from(self.block.len()).expect("a block is below 4 GiB"));
        header.put_u32(crc32c::crc32c(&self.block));
        (self.sink)(&header)?;
        (self.sink)(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

/// Reads a run; `row` says whether it could take the row. If the run is not whole, the offset of the first block that is
/// not.
pub(super) fn read(mut run: Bytes, mut row: impl FnMut(&[u8], Bytes) -> Option<()>) -> Result<(), u64> {
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
    use super::*;

    fn run(rows: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = RunWriter::new(|piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), ()>(())
        })
        .unwrap();
        for number in 0..rows {
            writer.row(&number.to_be_bytes(), &vec![number as u8; number as usize % 300]).unwrap();
        }
        writer.finish().unwrap();
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

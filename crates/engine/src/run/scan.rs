//! What is left of a run whose index is damaged: its blocks tell themselves where they end.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use journal::storage::StorageFile;

use super::filters::Filters;
use super::index::{Index, IndexEntry};
use super::reader::{read, read_row};
use super::{FRAME_BYTES, MAGIC, Run};

impl Run {
    /// Makes an index anew, of the blocks that are whole. What stands only in the index is lost: which rows are gone.
    pub(crate) fn scan(number: u64, file: &dyn StorageFile) -> io::Result<Arc<Self>> {
        let bytes = file.len()?;
        let (mut index, mut last_key, mut rows) = (Vec::new(), Bytes::new(), 0);
        let mut offset = MAGIC.len() as u64;
        while offset + FRAME_BYTES < bytes {
            let mut frame = read(file, offset, FRAME_BYTES)?;
            let (length, checksum) = (frame.get_u32(), frame.get_u32());
            let end = offset + FRAME_BYTES + u64::from(length);
            if length == 0 || end > bytes {
                break;
            }
            let block = read(file, offset + FRAME_BYTES, length.into())?;
            // Filters and the index are frames as well, but of no rows.
            let keys = Some(&block).filter(|block| crc32c::crc32c(block) == checksum).and_then(keys_of);
            if let Some((first, last, count)) = keys.filter(|(first, ..)| *first > last_key) {
                let entry = IndexEntry {
                    first_key: &first,
                    last_key: Some(&last),
                    offset,
                    length,
                    checksum,
                    rows: count,
                    entries: None,
                };
                entry.encode(&mut index);
                (last_key, rows) = (last, rows + u64::from(count));
            }
            offset = end;
        }
        let index = Index::decode(index.into()).unwrap_or_default();
        let weight = index.weigh(0);
        let filters = Filters::default();
        Ok(Arc::new(Self { number, bytes, checksum: 0, rows, weight, index, filters }))
    }
}

/// The first and the last key of a block of rows, and how many there are.
fn keys_of(block: &Bytes) -> Option<(Bytes, Bytes, u32)> {
    let (mut block, mut first, mut last, mut count) = (block.clone(), None, Bytes::new(), 0);
    while !block.is_empty() {
        let (key, _) = read_row(&mut block)?;
        if key.is_empty() || key <= last {
            return None;
        }
        first.get_or_insert_with(|| key.clone());
        (last, count) = (key, count + 1);
    }
    Some((first?, last, count))
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use journal::storage::{MemoryStorage, Storage};

    use super::*;
    use crate::run::{RowToWrite, RunRows, RunWriter};

    const ROWS: u32 = 900;

    fn written() -> (Arc<Run>, Arc<dyn StorageFile>) {
        let file = MemoryStorage::new().create("run").unwrap();
        let mut offset = 0;
        let mut writer = RunWriter::new(|piece: &[u8]| {
            file.write_all_at(&mut [IoSlice::new(piece)], offset)?;
            offset += piece.len() as u64;
            io::Result::Ok(())
        })
        .unwrap();
        for number in 0..ROWS {
            let (key, value) = ([&b"D"[..], &number.to_be_bytes()].concat(), vec![number as u8; 40]);
            let value = Some(&value[..]).filter(|_| number % 7 > 0);
            writer.row(RowToWrite { key: &key, value, entries: None, is_alone: number % 10 == 0 }).unwrap();
        }
        (writer.finish(3).unwrap(), file)
    }

    fn rows(run: Arc<Run>, file: &Arc<dyn StorageFile>) -> Vec<(u32, Option<usize>)> {
        let mut rows = RunRows::new(run, Arc::clone(file));
        let mut next = || loop {
            match rows.next() {
                Ok(row) => return row,
                Err(damage) => assert_eq!(damage.number, 3),
            }
        };
        let number = |key: &Bytes| u32::from_be_bytes(key[1..].try_into().unwrap());
        std::iter::from_fn(&mut next)
            .map(|row| (number(&row.key), row.value.map(|value| value.len())))
            .collect()
    }

    #[test]
    fn rows_round_trip_over_many_blocks() {
        let (run, file) = written();
        let opened = Run::open(3, &*file).unwrap();
        assert_eq!((opened.checksum, opened.bytes), (run.checksum, run.bytes));
        let expected = |number: u32| (number, (!number.is_multiple_of(7)).then_some(40));
        assert_eq!(rows(opened, &file), (0..ROWS).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let (_, file) = written();
        let expected = rows(Run::open(3, &*file).unwrap(), &file);
        let bytes = file.len().unwrap();
        for at in (0..bytes).step_by(13).chain(bytes - 40..bytes) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&mut [IoSlice::new(&[byte[0] ^ 4])], at).unwrap();
            let is_noticed = Run::open(3, &*file).map_or(true, |run| rows(run, &file) != expected);
            assert!(is_noticed, "changed at {at}");
            file.write_all_at(&mut [IoSlice::new(&byte)], at).unwrap();
        }
    }

    #[test]
    fn without_an_index_all_is_found_but_what_is_gone() {
        let (run, file) = written();
        file.set_len(run.bytes - 40).unwrap();
        assert!(Run::open(3, &*file).is_err());
        let scanned = Run::scan(3, &*file).unwrap();
        let is_in_index_only = |number: u32| number.is_multiple_of(70);
        let expected = (0..ROWS).filter(|number| !is_in_index_only(*number));
        let found: Vec<u32> = rows(scanned, &file).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_block_costs_its_own_rows() {
        let (run, file) = written();
        let at = run.index.entries().nth(4).unwrap();
        file.write_all_at(&mut [IoSlice::new(b"????")], at.offset + 20).unwrap();
        let lost = rows(Arc::clone(&run), &file);
        assert_eq!(lost.len() as u64, run.rows - u64::from(at.rows));
        assert_eq!(rows(Run::scan(3, &*file).unwrap(), &file).len(), {
            let gone_alone = (0..ROWS).filter(|number| number.is_multiple_of(70)).count();
            lost.len() - gone_alone
        });
    }
}

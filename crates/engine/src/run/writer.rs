//! The writing of a run.

use std::sync::Arc;

use broker::Lsn;
use bytes::{BufMut, Bytes};

use super::filters::{Filters, FiltersWriter};
use super::footer::Footer;
use super::index::{Index, IndexEntry};
use super::{BLOCK_BYTES, FRAME_BYTES, GONE, MAGIC, Row, Run};

/// Builds a run, handing it out piece by piece.
pub(crate) struct RunWriter<Sink> {
    sink: Sink,
    offset: u64,
    block: Block,
    index: Vec<u8>,
    filters: FiltersWriter,
    /// The first byte of the last key.
    table: Option<u8>,
    rows: u64,
    gone: u64,
}

/// The block that is being filled.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    rows: u32,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    entries: Option<(Lsn, Lsn)>,
}

/// A row to be written.
#[derive(Clone, Copy)]
pub(crate) struct RowToWrite<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) entries: Option<(Lsn, Lsn)>,
    pub(crate) is_alone: bool,
}

impl<'a> From<&'a Row> for RowToWrite<'a> {
    fn from(row: &'a Row) -> Self {
        let Row { key, value, entries, is_alone } = row;
        Self { key, value: value.as_deref(), entries: *entries, is_alone: *is_alone }
    }
}

impl<Error, Sink: FnMut(&[u8]) -> Result<(), Error>> RunWriter<Sink> {
    pub(crate) fn new(mut sink: Sink) -> Result<Self, Error> {
        sink(MAGIC)?;
        let offset = MAGIC.len() as u64;
        let (block, index, filters) = (Block::default(), Vec::new(), FiltersWriter::default());
        Ok(Self { sink, offset, block, index, filters, table: None, rows: 0, gone: 0 })
    }

    /// Adds a row. Keys ascend, and are at most 65,535 bytes.
    pub(crate) fn row(&mut self, row: RowToWrite<'_>) -> Result<(), Error> {
        self.rows += 1;
        self.gone += u64::from(row.value.is_none());
        if self.table != row.key.first().copied() {
            self.flush(false)?;
            self.filters.close();
            self.table = row.key.first().copied();
        }
        if broker::is_read_by_point(row.key) {
            self.filters.add(row.key);
        }
        if row.is_alone {
            return self.row_alone(row);
        }
        self.block.add(row);
        if self.block.bytes.len() >= BLOCK_BYTES { self.flush(false) } else { Ok(()) }
    }

    /// Writes what is left. The run that has come about, under this number.
    pub(crate) fn finish(mut self, number: u64) -> Result<Arc<Run>, Error> {
        self.flush(false)?;
        let filters = std::mem::take(&mut self.filters).finish();
        let filters_at = self.offset;
        let filters_checksum = self.frame(&filters)?;
        let index = std::mem::take(&mut self.index);
        let index_at = self.offset;
        let index_checksum = self.frame(&index)?;
        let (footer, checksum) =
            Footer::encode((filters_at, filters_checksum), (index_at, index_checksum), self.rows, self.gone);
        (self.sink)(&footer)?;
        let index = Index::decode(Bytes::from(index)).expect("rows come in order");
        Ok(Arc::new(Run {
            number,
            bytes: self.offset + footer.len() as u64,
            checksum,
            rows: self.rows,
            weight: index.weigh(self.gone),
            index,
            filters: Filters::decode(Bytes::from(filters)).expect("rows come in order"),
        }))
    }

    fn row_alone(&mut self, row: RowToWrite<'_>) -> Result<(), Error> {
        self.flush(false)?;
        if row.value.is_some() {
            self.block.add(row);
            return self.flush(true);
        }
        let (first_key, last_key) = (row.key, None);
        let entry =
            IndexEntry { first_key, last_key, offset: 0, length: 0, checksum: 0, rows: 1, entries: None };
        entry.encode(&mut self.index);
        Ok(())
    }

    fn flush(&mut self, is_alone: bool) -> Result<(), Error> {
        let block = std::mem::take(&mut self.block);
        if block.rows == 0 {
            return Ok(());
        }
        let offset = self.offset;
        let checksum = self.frame(&block.bytes)?;
        let entry = IndexEntry {
            first_key: &block.first_key,
            last_key: Some(&*block.last_key).filter(|_| !is_alone),
            offset,
            length: u32::try_from(block.bytes.len()).expect("a block is below 4 GiB"),
            checksum,
            rows: block.rows,
            entries: block.entries,
        };
        entry.encode(&mut self.index);
        self.filters.block_ended();
        Ok(())
    }

    /// Writes something with its length and checksum in front. The checksum.
    fn frame(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        let checksum = crc32c::crc32c(bytes);
        let mut frame = Vec::with_capacity(FRAME_BYTES as usize + bytes.len());
        frame.put_u32(u32::try_from(bytes.len()).expect("a block is below 4 GiB"));
        frame.put_u32(checksum);
        frame.put_slice(bytes);
        (self.sink)(&frame)?;
        self.offset += frame.len() as u64;
        Ok(checksum)
    }
}

impl Block {
    fn add(&mut self, row: RowToWrite<'_>) {
        if self.rows == 0 {
            self.first_key = row.key.to_vec();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(row.key);
        self.rows += 1;
        self.entries = match (self.entries, row.entries) {
            (Some((lowest, highest)), Some((low, high))) => Some((lowest.min(low), highest.max(high))),
            (one, other) => one.or(other),
        };
        self.bytes.put_u16(u16::try_from(row.key.len()).expect("a key is below 64 KiB"));
        self.bytes.put_slice(row.key);
        match row.value {
            None => self.bytes.put_u32(GONE),
            Some(value) => {
                let length = u32::try_from(value.len()).ok().filter(|length| *length != GONE);
                self.bytes.put_u32(length.expect("a value is below 4 GiB"));
                self.bytes.put_slice(value);
            }
        }
    }
}

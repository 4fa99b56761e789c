//! The reading of a run.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use journal::storage::StorageFile;

use super::index::Index;
use super::{FOOTER_BYTES, FRAME_BYTES, GONE, MAGIC, Row, Run, RunDamage};

impl Run {
    /// Opens a run: reads its footer and its index.
    pub(crate) fn open(number: u64, file: &dyn StorageFile) -> Result<Arc<Self>, RunDamage> {
        let damage = |offset: u64, detail: &str| RunDamage::new(number, offset, detail);
        let unreadable = |error| RunDamage::new(number, 0, unreadable(&error));
        let bytes = file.len().map_err(unreadable)?;
        let least = MAGIC.len() as u64 + FRAME_BYTES + FOOTER_BYTES;
        if bytes < least {
            return Err(damage(0, &format!("it has {bytes} bytes, and no run has less than {least}")));
        }
        if read(file, 0, MAGIC.len() as u64).map_err(unreadable)? != MAGIC[..] {
            return Err(damage(0, "it does not begin as a run"));
        }
        let footer_at = bytes - FOOTER_BYTES;
        let mut footer = read(file, footer_at, FOOTER_BYTES).map_err(unreadable)?;
        let checksum = crc32c::crc32c(&footer[..FOOTER_BYTES as usize - 4]);
        let (index_at, rows, gone) = (footer.get_u64(), footer.get_u64(), footer.get_u64());
        let index_checksum = footer.get_u32();
        let is_inside = index_at.checked_add(FRAME_BYTES).is_some_and(|end| end <= footer_at);
        if footer.get_u32() != checksum || !is_inside {
            return Err(damage(footer_at, "its end is not as it was written"));
        }
        let index = read_frame(file, index_at, footer_at - index_at - FRAME_BYTES, index_checksum, bytes);
        let index = index.map_err(unreadable)?.and_then(Index::decode);
        let index = index.ok_or_else(|| damage(index_at, "its index is not as it was written"))?;
        let weight = index.weigh(gone);
        Ok(Arc::new(Self { number, bytes, checksum, rows, weight, index }))
    }

    /// The first row of a block, by the block's place in the index.
    pub(crate) fn row_at(&self, file: &dyn StorageFile, at: usize) -> Result<Row, RunDamage> {
        let mut block = self.read_block(file, at)?;
        let entry = self.index.entry(at);
        let row = read_row(&mut block).map(|(key, value)| Row {
            key,
            value,
            entries: entry.entries,
            is_alone: entry.is_alone(),
        });
        row.ok_or_else(|| self.damage(at, NOT_AS_WRITTEN))
    }

    fn read_block(&self, file: &dyn StorageFile, at: usize) -> Result<Bytes, RunDamage> {
        let entry = self.index.entry(at);
        let block = read_frame(file, entry.offset, entry.length.into(), entry.checksum, self.bytes);
        let block = block.map_err(|error| self.damage(at, &unreadable(&error)))?;
        block.ok_or_else(|| self.damage(at, NOT_AS_WRITTEN))
    }

    /// Something is wrong with a block.
    fn damage(&self, at: usize, detail: &str) -> RunDamage {
        let entry = self.index.entry(at);
        let keys = (Bytes::copy_from_slice(entry.first_key), Bytes::copy_from_slice(entry.last()));
        RunDamage { keys: Some(keys), ..RunDamage::new(self.number, entry.offset, detail) }
    }
}

/// The rows of a run, one after the other.
pub(crate) struct RunRows {
    run: Arc<Run>,
    file: Arc<dyn StorageFile>,
    /// The next entry of the index.
    next: usize,
    /// What is left of the block before it.
    block: Bytes,
}

impl RunRows {
    pub(crate) fn new(run: Arc<Run>, file: Arc<dyn StorageFile>) -> Self {
        Self { run, file, next: 0, block: Bytes::new() }
    }

    /// The next row. Behind a damaged block the reading goes on with the next one.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, RunDamage> {
        if self.block.is_empty() {
            if self.next == self.run.index.len() {
                return Ok(None);
            }
            self.next += 1;
            let entry = self.run.index.entry(self.next - 1);
            if entry.is_gone() {
                let key = Bytes::copy_from_slice(entry.first_key);
                return Ok(Some(Row { key, value: None, entries: None, is_alone: true }));
            }
            self.block = self.run.read_block(&*self.file, self.next - 1)?;
        }
        let entry = self.run.index.entry(self.next - 1);
        let (entries, is_alone) = (entry.entries, entry.is_alone());
        match read_row(&mut self.block) {
            Some((key, value)) => Ok(Some(Row { key, value, entries, is_alone })),
            None => {
                self.block.clear();
                Err(self.run.damage(self.next - 1, NOT_AS_WRITTEN))
            }
        }
    }
}

const NOT_AS_WRITTEN: &str = "a block of the run is not as it was written";

pub(super) fn read_row(block: &mut Bytes) -> Option<(Bytes, Option<Bytes>)> {
    let length = block.try_get_u16().ok()?;
    let key = take(block, length.into())?;
    let value = match block.try_get_u32().ok()? {
        GONE => None,
        length => Some(take(block, length as usize)?),
    };
    Some((key, value))
}

fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

/// Reads something with its length and checksum in front, which have to be these. `None` if it is not as it was written.
fn read_frame(
    file: &dyn StorageFile,
    offset: u64,
    length: u64,
    checksum: u32,
    file_bytes: u64,
) -> io::Result<Option<Bytes>> {
    if offset.checked_add(FRAME_BYTES + length).is_none_or(|end| end > file_bytes) {
        return Ok(None);
    }
    let mut frame = read(file, offset, FRAME_BYTES + length)?;
    let is_whole = u64::from(frame.get_u32()) == length && frame.get_u32() == checksum;
    Ok((is_whole && crc32c::crc32c(&frame) == checksum).then_some(frame))
}

pub(super) fn read(file: &dyn StorageFile, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(usize::try_from(length).map_err(io::Error::other)?);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.freeze())
}

fn unreadable(error: &io::Error) -> String {
    format!("the disk cannot read it ({error})")
}

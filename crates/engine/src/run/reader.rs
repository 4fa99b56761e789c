//! The reading of a run.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use journal::storage::StorageFile;

use super::filters::Filters;
use super::footer::Footer;
use super::index::Index;
use super::{FRAME_BYTES, GONE, MAGIC, MAGIC_2, Row, Run, RunDamage};

impl Run {
    /// Opens a run: reads its footer, its index and its filters.
    pub(crate) fn open(number: u64, file: &dyn StorageFile) -> Result<Arc<Self>, RunDamage> {
        let (run, footer) = Self::open_by_index(number, file)?;
        let Some((offset, checksum)) = footer.filters else { return Ok(Arc::new(run)) };
        let filters = read_frame(file, offset, footer.index_at - offset - FRAME_BYTES, checksum, run.bytes);
        let filters = filters.map_err(|error| RunDamage::new(number, 0, unreadable(&error)))?;
        let filters = filters.and_then(Filters::decode);
        let damage = || RunDamage::new(number, offset, "its filters are not as they were written");
        Ok(Arc::new(Self { filters: filters.ok_or_else(damage)?, ..run }))
    }

    /// Opens a run whose filters may be damaged, and does without them: nothing is lost but time.
    pub(crate) fn open_without_filters(number: u64, file: &dyn StorageFile) -> Result<Arc<Self>, RunDamage> {
        Self::open_by_index(number, file).map(|(run, _)| Arc::new(run))
    }

    fn open_by_index(number: u64, file: &dyn StorageFile) -> Result<(Self, Footer), RunDamage> {
        let damage = |offset: u64, detail: &str| RunDamage::new(number, offset, detail);
        let unreadable = |error| RunDamage::new(number, 0, unreadable(&error));
        let bytes = file.len().map_err(unreadable)?;
        let least = MAGIC.len() as u64 + FRAME_BYTES + Footer::BYTES_2;
        if bytes < least {
            return Err(damage(0, &format!("it has {bytes} bytes, and no run has less than {least}")));
        }
        let magic = read(file, 0, MAGIC.len() as u64).map_err(unreadable)?;
        let footer_bytes = match &magic[..] {
            magic if magic == MAGIC => Footer::BYTES,
            magic if magic == MAGIC_2 => Footer::BYTES_2,
            _ => return Err(damage(0, "it does not begin as a run")),
        };
        let footer_at = bytes.saturating_sub(footer_bytes);
        let footer = read(file, footer_at, bytes - footer_at).map_err(unreadable)?;
        let footer = Footer::decode(footer).filter(|footer| footer.is_inside(footer_at));
        let footer = footer.ok_or_else(|| damage(footer_at, "its end is not as it was written"))?;
        let index_bytes = footer_at - footer.index_at - FRAME_BYTES;
        let index = read_frame(file, footer.index_at, index_bytes, footer.index_checksum, bytes);
        let index = index.map_err(unreadable)?.and_then(Index::decode);
        let index = index.ok_or_else(|| damage(footer.index_at, "its index is not as it was written"))?;
        let (weight, Footer { checksum, rows, .. }) = (index.weigh(footer.gone), footer);
        let run = Self { number, bytes, checksum, rows, weight, index, filters: Filters::default() };
        Ok((run, footer))
    }

    /// The place of the block that may have the row of this key: where to look, for want of knowing better.
    pub(crate) fn block_of(&self, key: &[u8]) -> Option<usize> {
        if self.filters.may_have(key) { self.index.find(key) } else { None }
    }

    /// What the block says of the row of this key: the outer `None` if nothing, the inner one that there is none any more.
    pub(crate) fn look_up(
        &self,
        file: &dyn StorageFile,
        at: usize,
        key: &[u8],
    ) -> Result<Option<Option<Bytes>>, RunDamage> {
        if self.index.entry(at).is_gone() {
            return Ok(Some(None));
        }
        let mut block = self.read_block(file, at)?;
        while !block.is_empty() {
            let (found, value) = read_row(&mut block).ok_or_else(|| self.damage(at, NOT_AS_WRITTEN))?;
            if found >= key {
                return Ok((found == key).then_some(value));
            }
        }
        Ok(None)
    }

    /// The rows of a block, by the block's place in the index.
    pub(crate) fn rows_at(
        &self,
        file: &dyn StorageFile,
        at: usize,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>, RunDamage> {
        let (mut block, mut rows) = (self.read_block(file, at)?, Vec::new());
        while !block.is_empty() {
            rows.push(read_row(&mut block).ok_or_else(|| self.damage(at, NOT_AS_WRITTEN))?);
        }
        Ok(rows)
    }

    /// Whether it may have rows of such keys.
    pub(crate) fn may_have_between(&self, from: &[u8], below: &[u8]) -> bool {
        let at = self.index.first_from(from);
        at < self.index.len() && self.index.entry(at).first_key < below
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

    /// Only the rows of this key and later ones, and some in front of them.
    pub(crate) fn from_block_of(run: Arc<Run>, file: Arc<dyn StorageFile>, key: &[u8]) -> Self {
        let next = run.index.first_from(key);
        Self { run, file, next, block: Bytes::new() }
    }

    /// Passes over the blocks whose rows all are of tables that are not wanted, without reading them.
    pub(crate) fn skip_blocks(&mut self, is_unwanted: impl Fn(&[u8]) -> bool) {
        while self.block.is_empty() && self.next < self.run.index.len() {
            let entry = self.run.index.entry(self.next);
            if entry.first_key.first() != entry.last().first() || !is_unwanted(entry.first_key) {
                return;
            }
            self.next += 1;
        }
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

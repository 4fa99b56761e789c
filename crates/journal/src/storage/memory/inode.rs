//! The content of one file: as it is read now, and as it would be after a crash.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::random::Random;

/// The unit that a disk writes whole.
const SECTOR_BYTES: u64 = 512;

type Sector = [u8; SECTOR_BYTES as usize];

#[derive(Default)]
pub(super) struct Inode {
    bytes: Vec<u8>,
    /// The size that a crash cannot undo.
    synced_len: u64,
    /// Sectors that were written and not synced, with what they held before.
    unsynced: BTreeMap<u64, Sector>,
    /// Sectors whose sync failed: the cache calls them clean, the disk never got them.
    doomed: BTreeMap<u64, Sector>,
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        if end > self.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&self.bytes[offset as usize..end as usize]);
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.remember(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        if end > self.len() {
            self.bytes.resize(end as usize, 0);
        }
        self.bytes[offset as usize..end as usize].copy_from_slice(bytes);
    }

    pub(super) fn resize(&mut self, len: u64) {
        if len < self.len() {
            self.remember(len / SECTOR_BYTES..self.len().div_ceil(SECTOR_BYTES));
        }
        self.bytes.resize(len as usize, 0);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.synced_len = self.len();
    }

    pub(super) fn fail_sync(&mut self) {
        for (sector, old) in std::mem::take(&mut self.unsynced) {
            self.doomed.entry(sector).or_insert(old);
        }
    }

    pub(super) fn crash(&mut self, random: &mut Random, leaves_garbage: bool) {
        for (sector, old) in std::mem::take(&mut self.unsynced) {
            let was_blank = old.iter().all(|byte| *byte == 0);
            if random.coin() {
                self.restore(sector, &old);
            } else if leaves_garbage && was_blank && random.coin() {
                self.restore(sector, &garbage(random));
            }
        }
        for (sector, old) in std::mem::take(&mut self.doomed) {
            self.restore(sector, &old);
        }
        if self.len() != self.synced_len && random.coin() {
            self.bytes.resize(self.synced_len as usize, 0);
        }
        self.synced_len = self.len();
    }

    fn remember(&mut self, sectors: std::ops::Range<u64>) {
        for sector in sectors {
            if self.unsynced.contains_key(&sector) {
                continue;
            }
            let old = self.doomed.remove(&sector).unwrap_or_else(|| self.sector(sector));
            self.unsynced.insert(sector, old);
        }
    }

    fn sector(&self, sector: u64) -> Sector {
        let mut content = [0; SECTOR_BYTES as usize];
        let start = (sector * SECTOR_BYTES).min(self.len()) as usize;
        let end = ((sector + 1) * SECTOR_BYTES).min(self.len()) as usize;
        content[..end - start].copy_from_slice(&self.bytes[start..end]);
        content
    }

    fn restore(&mut self, sector: u64, old: &Sector) {
        let start = (sector * SECTOR_BYTES).min(self.len()) as usize;
        let end = ((sector + 1) * SECTOR_BYTES).min(self.len()) as usize;
        self.bytes[start..end].copy_from_slice(&old[..end - start]);
    }
}

/// What a sector may hold that was being written when the power failed.
fn garbage(random: &mut Random) -> Sector {
    let mut noise = [0; SECTOR_BYTES as usize];
    noise.iter_mut().for_each(|byte| *byte = random.next() as u8);
    noise
}

//! A disk in memory that can lose power.

mod inode;
mod names;
mod random;

use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::inode::Inode;
use self::names::Names;
use self::random::Random;
use super::{Storage, StorageFile};

/// A disk in memory that forgets what a real one may forget, and fails when told to.
///
/// - After [`crash`](Self::crash) each sector of 512 bytes that was written and not synced holds its new or
///   its old content, each by chance; names and sizes changed since the last sync of their folder or file are
///   kept up to some point of their order. Chance comes from the seed alone.
/// - A failed sync is treacherous, as on real systems: the bytes can still be read, a later sync succeeds,
///   and a crash drops them all the same, unless they are written again.
///
/// Clones share the disk. Files opened before a crash fail afterwards with `BrokenPipe`.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
}

impl MemoryStorage {
    /// An empty disk without faults.
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }

    /// Cuts the power and restores it: what was not synced is kept or lost by chance, all orders for faults
    /// are taken back.
    pub fn crash(&self, seed: u64) {
        self.lock().crash(&mut Random::new(seed));
    }

    /// Cuts the power in place of the operation that comes after `count` more changing operations (writes,
    /// syncs, changes of names and sizes). From then on everything fails until [`crash`](Self::crash)
    /// restores the power.
    pub fn cut_power_after(&self, count: u64) {
        self.lock().faults.power_cut_in = Some(count);
    }

    /// Cuts the power in place of the sync of a folder that would keep a changed name of a file whose old one is durable,
    /// after `count` more such syncs. From then on everything fails until [`crash`](Self::crash) restores the power.
    ///
    /// Such moments are rare among all operations, and what a crash brings back is easily forgotten.
    pub fn cut_power_over_renames_after(&self, count: u64) {
        self.lock().faults.power_cut_over_renames_in = Some(count);
    }

    /// How many changing operations there were so far.
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations
    }

    /// Lets one write fail, after `count` more that succeed. Half of it is written.
    pub fn fail_write_after(&self, count: u64) {
        self.lock().faults.write_fails_in = Some(count);
    }

    /// Lets one sync (of a file or folder) fail, after `count` more that succeed.
    pub fn fail_sync_after(&self, count: u64) {
        self.lock().faults.sync_fails_in = Some(count);
    }

    /// How many syncs of files were asked for, failed ones included.
    pub fn file_syncs(&self) -> u64 {
        self.lock().faults.file_syncs
    }

    /// From now on a crash may also leave garbage: in sectors that held nothing which was ever synced, and that were
    /// written and not synced.
    pub fn allow_garbage(&self) {
        self.lock().leaves_garbage = true;
    }

    /// Sets how many bytes all files may have together; what goes beyond fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = Some(bytes);
    }

    /// Takes the bound back.
    pub fn lift_capacity(&self) {
        self.lock().capacity = None;
    }

    /// How many bytes all files have together.
    pub fn bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// How many files were ever made.
    pub fn files_made(&self) -> usize {
        self.lock().inodes.len()
    }

    /// Whether the power is off: it was cut, and [`crash`](Self::crash) has not restored it yet.
    pub fn is_off(&self) -> bool {
        self.lock().faults.is_off
    }

    /// Takes all orders for faults back. The bound to what there is room for stays.
    pub fn forget_faults(&self) {
        let mut disk = self.lock();
        let Faults { is_off, operations, file_syncs, .. } = disk.faults;
        disk.faults = Faults { is_off, operations, file_syncs, ..Faults::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, inode: usize, disk: &Disk) -> Arc<dyn StorageFile> {
        Arc::new(MemoryFile { disk: self.disk.clone(), inode, boot: disk.boot })
    }
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: Names,
    capacity: Option<u64>,
    faults: Faults,
    leaves_garbage: bool,
    /// Counts the crashes, so that files opened before one are told apart.
    boot: u64,
}

/// Orders for faults, each the number of successes before it, and counts.
#[derive(Default)]
struct Faults {
    power_cut_in: Option<u64>,
    power_cut_over_renames_in: Option<u64>,
    write_fails_in: Option<u64>,
    sync_fails_in: Option<u64>,
    is_off: bool,
    operations: u64,
    file_syncs: u64,
}

impl Faults {
    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::new(ErrorKind::BrokenPipe, "the power is off")) } else { Ok(()) }
    }

    fn change(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.is_off = is_due(&mut self.power_cut_in);
        self.check_power()?;
        self.operations += 1;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if is_due(&mut self.sync_fails_in) {
            Err(io::Error::other("injected failure of a sync"))
        } else {
            Ok(())
        }
    }
}

/// Counts down; `true` in place of the operation that the fault was ordered for.
fn is_due(order: &mut Option<u64>) -> bool {
    match order {
        Some(0) => {
            *order = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Disk {
    fn crash(&mut self, random: &mut Random) {
        self.names.crash(random);
        let leaves_garbage = self.leaves_garbage;
        self.inodes.iter_mut().for_each(|inode| inode.crash(random, leaves_garbage));
        self.faults = Faults { operations: self.faults.operations, ..Faults::default() };
        self.capacity = None;
        self.boot += 1;
    }

    fn used_bytes(&self) -> u64 {
        self.names.files().map(|inode| self.inodes[inode].len()).sum()
    }

    /// Whether `inode` may grow to `len` bytes.
    fn check_room(&self, inode: usize, len: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let files = self.names.files();
        let others: u64 = files.filter(|&other| other != inode).map(|other| self.inodes[other].len()).sum();
        if len > self.inodes[inode].len() && others + len > capacity {
            return Err(io::Error::new(ErrorKind::StorageFull, "injected: the disk is full"));
        }
        Ok(())
    }
}

impl Storage for MemoryStorage {
    fn create(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.lock();
        disk.faults.change()?;
        let inode = disk.inodes.len();
        disk.names.create(path, inode)?;
        disk.inodes.push(Inode::default());
        Ok(self.file(inode, &disk))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        let disk = self.lock();
        disk.faults.check_power()?;
        let inode = disk.names.file(path)?;
        Ok(self.file(inode, &disk))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let disk = self.lock();
        disk.faults.check_power()?;
        Ok(disk.names.exists(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let disk = self.lock();
        disk.faults.check_power()?;
        disk.names.list(directory)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.faults.change()?;
        disk.names.create_directory(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.faults.change()?;
        disk.names.remove_directory(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.faults.change()?;
        disk.names.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.faults.change()?;
        disk.names.remove(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut disk = self.lock();
        let is_risky = disk.names.can_bring_names_back();
        disk.faults.is_off |= is_risky && is_due(&mut disk.faults.power_cut_over_renames_in);
        disk.faults.change()?;
        disk.faults.sync()?;
        disk.names.sync(path);
        Ok(())
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let disk = self.lock();
        disk.faults.check_power()?;
        let used = disk.used_bytes();
        Ok(disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used)))
    }
}

struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    boot: u64,
}

impl MemoryFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.faults.check_power()?;
        if disk.boot != self.boot {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the file was opened before the crash"));
        }
        Ok(disk)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.faults.change()?;
        disk.faults.file_syncs += 1;
        let result = disk.faults.sync();
        let inode = &mut disk.inodes[self.inode];
        match &result {
            Ok(()) => inode.sync(),
            Err(_) => inode.fail_sync(),
        }
        result
    }

    fn resize(&self, len: u64) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.faults.change()?;
        disk.check_room(self.inode, len)?;
        disk.inodes[self.inode].resize(len);
        Ok(())
    }
}

impl StorageFile for MemoryFile {
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.faults.change()?;
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        disk.check_room(self.inode, offset + bytes)?;
        let fails = is_due(&mut disk.faults.write_fails_in);
        let mut left = if fails { bytes / 2 } else { bytes };
        let mut at = offset;
        for slice in slices {
            let part = &slice[..(slice.len() as u64).min(left) as usize];
            disk.inodes[self.inode].write(part, at);
            at += part.len() as u64;
            left -= part.len() as u64;
        }
        if fails { Err(io::Error::other("injected failure of a write")) } else { Ok(()) }
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.lock()?.inodes[self.inode].read(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock()?.inodes[self.inode].len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.resize(bytes)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let len = self.len()?;
        self.resize(len.max(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Arc<dyn StorageFile>, bytes: &[u8], offset: u64) {
        file.write_all_at(&mut [IoSlice::new(bytes)], offset).unwrap();
    }

    fn content(storage: &MemoryStorage, path: &str) -> Vec<u8> {
        let file = storage.open(path).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn synced_file(storage: &MemoryStorage) -> Arc<dyn StorageFile> {
        let file = storage.create("file").unwrap();
        write(&file, &[1; 4096], 0);
        file.sync_all().unwrap();
        storage.sync_directory("").unwrap();
        file
    }

    #[test]
    fn unsynced_sectors_are_torn_by_chance() {
        let outcome = |seed| {
            let storage = MemoryStorage::new();
            write(&synced_file(&storage), &[2; 4096], 0);
            storage.crash(seed);
            content(&storage, "file")
        };
        let torn = (0..20).map(outcome).find(|bytes| bytes.contains(&1) && bytes.contains(&2)).unwrap();
        assert!(torn.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        assert_eq!(outcome(3), outcome(3), "the seed decides");
    }

    #[test]
    fn synced_bytes_stay() {
        for seed in 0..20 {
            let storage = MemoryStorage::new();
            let file = synced_file(&storage);
            write(&file, &[2; 4096], 0);
            file.sync_data().unwrap();
            storage.crash(seed);
            assert_eq!(content(&storage, "file"), [2; 4096]);
        }
    }

    #[test]
    fn bytes_of_a_failed_sync_are_lost_even_if_the_next_succeeds() {
        let storage = MemoryStorage::new();
        let file = synced_file(&storage);
        write(&file, &[2; 512], 0);
        write(&file, &[3; 512], 512);
        storage.fail_sync_after(0);
        file.sync_data().unwrap_err();
        write(&file, &[3; 512], 512);
        file.sync_data().unwrap();
        assert_eq!(content(&storage, "file")[0], 2, "the cache still has them");
        storage.crash(0);
        assert_eq!(content(&storage, "file")[0], 1);
        assert_eq!(content(&storage, "file")[512], 3, "written again, then synced");
    }

    #[test]
    fn names_need_a_sync_of_their_folder() {
        let lost = (0..20).any(|seed| {
            let storage = MemoryStorage::new();
            let file = storage.create("file").unwrap();
            file.sync_all().unwrap();
            storage.crash(seed);
            !storage.exists("file").unwrap()
        });
        assert!(lost);
    }

    #[test]
    fn files_of_before_the_crash_are_dead() {
        let storage = MemoryStorage::new();
        let file = synced_file(&storage);
        storage.crash(0);
        assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn capacity_counts_all_files() {
        let storage = MemoryStorage::new();
        synced_file(&storage);
        storage.set_capacity(6000);
        let second = storage.create("second").unwrap();
        write(&second, &[0; 1904], 0);
        let error = second.write_all_at(&mut [IoSlice::new(&[0])], 1904).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        storage.remove("file").unwrap();
        write(&second, &[0], 1904);
    }
}

//! Storage in a real folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use super::{Storage, StorageFile};

/// The folder of the operating system under a root.
///
/// It does not keep other processes away: who opens it holds a lock on the folder or on one above it.
#[derive(Clone, Debug)]
pub struct DirectoryStorage {
    root: PathBuf,
}

impl DirectoryStorage {
    /// The storage in `root`, which has to exist.
    pub fn new(root: impl Into<PathBuf>) -> DirectoryStorage {
        DirectoryStorage { root: root.into() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, path: &str) -> PathBuf {
        // Joining an empty path would add a slash behind the root.
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Storage for DirectoryStorage {
    fn create(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(path))?;
        Ok(Arc::new(DirectoryFile { file }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(path))?;
        Ok(Arc::new(DirectoryFile { file }))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.path(path).try_exists()
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(directory))? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.path(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.root)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

struct DirectoryFile {
    file: File,
}

/// The most slices that Linux takes in one call (`UIO_MAXIOV`).
const SLICES_PER_WRITE_MAX: usize = 1024;

impl StorageFile for DirectoryFile {
    fn write_all_at(&self, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // Empty slices in front would be taken for a write that makes no progress.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let count = slices.len().min(SLICES_PER_WRITE_MAX);
            match rustix::io::pwritev(&self.file, &slices[..count], offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.file, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) if self.len()? < bytes => self.set_len(bytes),
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_slices_than_one_call_takes_are_all_written() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DirectoryStorage::new(folder.path());
        let file = storage.create("file").unwrap();
        let parts: Vec<[u8; 3]> = (0..2500u16).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
        let mut slices: Vec<IoSlice<'_>> = vec![IoSlice::new(&[])];
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        file.write_all_at(&mut slices, 5).unwrap();

        let mut read = vec![0; 7500];
        file.read_exact_at(&mut read, 5).unwrap();
        assert_eq!(read, parts.concat());
    }

    #[test]
    fn preallocating_never_shortens() {
        let folder = tempfile::tempdir().unwrap();
        let file = DirectoryStorage::new(folder.path()).create("file").unwrap();
        file.preallocate(8192).unwrap();
        file.preallocate(4096).unwrap();
        assert_eq!(file.len().unwrap(), 8192);
    }
}

//! The one file layer: everything durable goes through it, so that a test can take the disk's place.
//!
//! Paths are relative to the storage's root, with `/` between names; `""` is the root itself. The layer
//! promises no more than a file system does: written bytes survive a crash only after a sync of the file,
//! names only after a sync of their folder.

mod copy;
mod directory;
mod giving_way;
mod memory;

use std::io::{self, IoSlice};
use std::sync::Arc;

pub use self::copy::copy;
pub use self::directory::DirectoryStorage;
pub use self::giving_way::GivingWay;
pub use self::memory::MemoryStorage;

/// A tree of folders and files.
pub trait Storage: Send + Sync {
    /// Makes an empty file. It survives a crash after [`Storage::sync_directory`] of its folder.
    ///
    /// # Errors
    /// `AlreadyExists`, or `NotFound` when the folder is missing.
    fn create(&self, path: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`.
    fn open(&self, path: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Whether there is a file or folder of this name.
    ///
    /// # Errors
    /// What the system says.
    fn exists(&self, path: &str) -> io::Result<bool>;

    /// The names of the files and folders in a folder, sorted.
    ///
    /// # Errors
    /// `NotFound`.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Makes a folder, unless it exists. It survives a crash after a sync of its parent.
    ///
    /// # Errors
    /// `NotFound` when the parent is missing.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// `NotFound`, or `DirectoryNotEmpty`.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Renames a file; one that has the new name is replaced, atomically. After a crash without
    /// [`Storage::sync_directory`] either name may hold.
    ///
    /// # Errors
    /// `NotFound`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Those who have it open can still read it.
    ///
    /// # Errors
    /// `NotFound`.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder survive a crash.
    ///
    /// # Errors
    /// What the system says. After an error the names are in doubt.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// How many bytes are free, to the best of its knowledge; `u64::MAX` where nobody knows. Others may take them at any
    /// moment, and a quota may refuse them.
    ///
    /// # Errors
    /// What the system says.
    fn available_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// An open file. All methods may be called from several threads at once.
pub trait StorageFile: Send + Sync {
    /// Writes all slices, one behind the other, from `offset` on. The slices are used up.
    ///
    /// # Errors
    /// `StorageFull` when there is no room. After an error any part may be written.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Fills the buffer with what is at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// The size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the size is 0.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file to this size, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes the file at least this large, with zeros, and reserves the room for it where the file system
    /// can.
    ///
    /// # Errors
    /// `StorageFull` when there is no room.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes what was written survive a crash, with the size if it changed. Never call it again after an
    /// error: the bytes are in doubt for good.
    ///
    /// # Errors
    /// What the system says.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`StorageFile::sync_data`], with all other properties of the file.
    ///
    /// # Errors
    /// What the system says.
    fn sync_all(&self) -> io::Result<()>;
}

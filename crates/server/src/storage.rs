//! Where a server keeps what it must not forget.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use journal::storage::{DirectoryStorage, MemoryStorage, Storage as Files};
use journal::{FileJournal, FileOptions, Journal, MemoryJournal};

use crate::data_directory::{DataDirectory, DataDirectoryError};
use crate::polite_storage::PoliteStorage;
use crate::randomness::random;

/// Where a server keeps what it must not forget.
#[derive(Debug)]
pub(crate) enum Storage {
    /// In files; dropping it lets the next server in.
    Directory(DataDirectory),
    /// In memory: whatever is confirmed is safe for as long as the server lives.
    Memory,
}

/// What the virtual hosts of a server share of its storage.
pub(crate) struct Logs {
    /// Holds a log for each of them.
    pub(crate) journal: Box<dyn Journal>,
    /// Holds their checkpoints.
    pub(crate) checkpoints: Arc<dyn Files>,
}

impl Storage {
    /// Takes a data directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`DataDirectoryError`].
    pub(crate) fn directory(path: &Path) -> Result<Self, DataDirectoryError> {
        DataDirectory::open(path).map(Self::Directory)
    }

    /// Opens the logs and checkpoints. Once for each server. Each log keeps `reserve_bytes` of the disk.
    ///
    /// # Errors
    /// [`DataDirectoryError`].
    pub(crate) fn logs(&self, reserve_bytes: u64) -> Result<Logs, DataDirectoryError> {
        Ok(match self {
            Self::Directory(data) => {
                let files = Arc::new(DirectoryStorage::new(data.create_folder("journal")?));
                let options = FileOptions { reserve_bytes, ..FileOptions::new(random()) };
                Logs {
                    journal: Box::new(FileJournal::new(files, options)),
                    checkpoints: Arc::new(PoliteStorage(DirectoryStorage::new(data.path()))),
                }
            }
            Self::Memory => Logs {
                journal: Box::new(MemoryJournal::automatic()),
                // Nobody will read them, but by them the journal learns what it may forget.
                checkpoints: Arc::new(MemoryStorage::new()),
            },
        })
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(data) => data.path().display().fmt(formatter),
            Self::Memory => formatter.write_str("memory"),
        }
    }
}

//! One process per folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Holds a folder for this process, by an advisory lock (`flock`) on a file `LOCK` in it.
///
/// The system gives the lock back when the process ends, however it ends; there is nothing to clean up.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the folder, which has to exist.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it (or this one, a second time).
    pub fn acquire(directory: &Path) -> Result<DirectoryLock, LockError> {
        let failed = |error| LockError::Failed { directory: directory.into(), error };
        let path = directory.join("LOCK");
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { directory: directory.into() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Why a folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("the data directory {} is in use by another process; stop that one, or choose another directory", .directory.display())]
    Held {
        /// The folder.
        directory: PathBuf,
    },
    /// The system refused.
    #[error("the data directory {} cannot be locked: {error}; it has to exist and be writable", .directory.display())]
    Failed {
        /// The folder.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_which_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(folder.path()).unwrap();
        let refusal = DirectoryLock::acquire(folder.path()).unwrap_err();
        assert!(matches!(refusal, LockError::Held { .. }));
        assert!(refusal.to_string().contains(folder.path().to_str().unwrap()));
        drop(first);
        DirectoryLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn missing_directory_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = DirectoryLock::acquire(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(refusal, LockError::Failed { .. }));
    }
}

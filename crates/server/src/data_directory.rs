//! The directory that holds everything a server must not forget.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data directory in the hands of this process. Dropping it lets the next server in.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// The lock lives as long as the open file, so a killed server leaves none behind.
    _lock: File,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// Another server is on it.
    #[error(
        "the data directory {} is in use by another server{holder}; stop that one, or give this one its own with --data",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// ` (process N)`, or nothing when the holder left no number.
        holder: String,
    },
    /// The operating system refuses.
    #[error("cannot use the data directory {}: {source}; check that it is a directory that this user may write to", path.display())]
    Storage {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDirectory {
    /// The name of the lock file, which holds the number of the process that has the lock.
    const LOCK_NAME: &str = "forebay.pid";

    /// Creates the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// [`DataDirectoryError::InUse`] when another process holds it, else [`DataDirectoryError::Storage`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        let storage = |source| DataDirectoryError::Storage { path: path.to_owned(), source };
        let is_new = !path.try_exists().map_err(storage)?;
        // Messages are nobody's business but the broker's.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(storage)?;
        let path = path.canonicalize().map_err(storage)?;
        if let Some(parent) = path.parent().filter(|_| is_new) {
            sync(parent).map_err(storage)?;
        }
        let mut lock = open_lock(&path.join(Self::LOCK_NAME)).map_err(storage)?;
        match lock.try_lock() {
            Ok(()) => write_holder(&mut lock).map_err(storage)?,
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirectoryError::InUse { path, holder: read_holder(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(storage(error)),
        }
        Ok(Self { path, _lock: lock })
    }

    /// Creates a folder in it unless it is there, so that it is still there after a power cut.
    ///
    /// # Errors
    /// [`DataDirectoryError::Storage`].
    pub(crate) fn create_folder(&self, name: &str) -> Result<PathBuf, DataDirectoryError> {
        let folder = self.path.join(name);
        let storage = |source| DataDirectoryError::Storage { path: self.path.clone(), source };
        if !folder.try_exists().map_err(storage)? {
            DirBuilder::new().mode(0o700).create(&folder).map_err(storage)?;
            sync(&self.path).map_err(storage)?;
        }
        Ok(folder)
    }

    /// Where it is, as an absolute path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the names in a directory survive a power cut.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    // Written over and then cut, not the other way round: so a start on a full disk needs no room for it.
    let text = format!("{}\n", std::process::id());
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    lock.set_len(text.len() as u64)
}

fn read_holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!(" (process {process})"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_holds_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/data");
        let held = DataDirectory::open(&path).unwrap();
        let error = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(error.contains(&held.path().display().to_string()), "{error}");
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(held);
        DataDirectory::open(&path).unwrap();
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDirectory::open(file.path()).unwrap_err();
        assert!(matches!(error, DataDirectoryError::Storage { .. }), "{error}");
    }
}

//! A file that only takes room, to be given to the next checkpoint when there is no other: without it nothing of a full journal
//! could be freed.

use std::io;

use super::super::job::CheckpointError;
use super::CheckpointStore;

/// Its name.
pub(super) const BALLAST: &str = "ballast";
/// Of the storage's reserve, one in this many parts is the least ballast.
pub(super) const BALLAST_SHARE: u64 = 8;

impl CheckpointStore {
    /// Gives the ballast's room to whoever comes first. False if there was none.
    pub(in super::super) fn drop_ballast(&self) -> Result<bool, CheckpointError> {
        let path = self.path(BALLAST);
        let exists = self.check(&path, self.storage.exists(&path))?;
        if exists {
            self.check(&path, self.storage.remove(&path))?;
        }
        Ok(exists)
    }

    /// Makes the ballast large enough for somewhat more than so many bytes. What can't be had now is tried for
    /// after the next.
    pub(crate) fn keep_ballast(&self, run_bytes: u64) {
        if self.ballast_bytes_min == 0 {
            return;
        }
        let bytes = self.ballast_bytes_min.max(run_bytes + run_bytes / 4);
        if let Err(error) = self.resize_ballast(bytes) {
            tracing::debug!(folder = self.folder, bytes, %error, "no room for the ballast");
        }
    }

    fn resize_ballast(&self, bytes: u64) -> io::Result<()> {
        let path = self.path(BALLAST);
        let exists = self.storage.exists(&path)?;
        let file = if exists { self.storage.open(&path)? } else { self.storage.create(&path)? };
        let before = file.len()?;
        if before > 2 * bytes {
            return file.set_len(bytes);
        }
        // Part of it is better than nothing, but a file system may have taken all that there was for it.
        file.preallocate(bytes.max(before)).inspect_err(|_| drop(file.set_len(before)))
    }
}

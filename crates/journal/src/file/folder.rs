//! The folder of one log: names of its files, and the small steps on them.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use mistakes::{Mistake, is_planted};

use super::format::{BLOCK_BYTES, ClaimRecord, HEADER_BYTES, SegmentHeader};
use crate::storage::{Storage, StorageFile};
use crate::{ClaimError, LostReason};

/// Zeros are written in pieces of this size, each synced: a flood of them would delay the syncs of the log.
const ZEROS_BYTES: usize = 1 << 20;

const SEGMENT: &str = ".seg";
const SPARE: &str = ".spare";

/// The claim record of a log that is being removed.
const DESTROYED: &str = "DESTROYED";

/// A failed step: what was tried, on which file, what the system said.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) operation: &'static str,
    pub(super) file: String,
    pub(super) error: io::Error,
}

impl From<Failure> for ClaimError {
    fn from(failure: Failure) -> ClaimError {
        let Failure { operation, file, error } = failure;
        ClaimError::Storage { operation, file, error: Arc::new(error) }
    }
}

impl From<Failure> for LostReason {
    fn from(failure: Failure) -> LostReason {
        let Failure { operation, file, error } = failure;
        let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let error = Arc::new(error);
        match is_full {
            true => LostReason::StorageFull { file, error },
            false => LostReason::StorageFailed { operation, file, error },
        }
    }
}

/// An open file that knows its name.
#[derive(Clone)]
pub(super) struct NamedFile {
    pub(super) path: String,
    file: Arc<dyn StorageFile>,
}

impl NamedFile {
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Failure> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.failure("reading", error))
    }

    pub(super) fn write(&self, slices: &mut [IoSlice<'_>], offset: u64) -> Result<(), Failure> {
        self.file.write_all_at(slices, offset).map_err(|error| self.failure("writing", error))
    }

    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_data().map_err(|error| self.failure("sync", error))
    }

    /// Also makes the size durable.
    pub(super) fn sync_all(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.failure("sync", error))
    }

    /// Makes the file this long, with zeros.
    pub(super) fn lengthen(&self, bytes: u64) -> Result<(), Failure> {
        self.file.set_len(bytes).map_err(|error| self.failure("lengthening", error))
    }

    pub(super) fn bytes(&self) -> Result<u64, Failure> {
        self.file.len().map_err(|error| self.failure("reading the size", error))
    }

    fn failure(&self, operation: &'static str, error: io::Error) -> Failure {
        Failure { operation, file: self.path.clone(), error }
    }
}

/// What a name in the folder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FolderItem {
    Segment(u64),
    Spare(u64),
}

/// The folder of one log.
#[derive(Clone)]
pub(super) struct Folder {
    storage: Arc<dyn Storage>,
    name: String,
}

impl Folder {
    pub(super) fn new(storage: Arc<dyn Storage>, name: &str) -> Folder {
        Folder { storage, name: name.to_owned() }
    }

    pub(super) fn exists(&self) -> Result<bool, Failure> {
        self.storage.exists(&self.name).map_err(|error| self.failure("looking for", &self.name, error))
    }

    pub(super) fn create(&self) -> Result<(), Failure> {
        let create = || {
            self.storage.create_directory(&self.name)?;
            self.storage.sync_directory("")
        };
        create().map_err(|error| self.failure("making the folder", &self.name, error))
    }

    /// Removes the folder with all it holds. What a crash leaves of it is marked as such.
    pub(super) fn destroy(&self) -> Result<(), Failure> {
        let (claim, mark) = (self.claim_path(), self.path(DESTROYED));
        let destroy = || {
            if self.storage.exists(&claim)? {
                self.storage.rename(&claim, &mark)?;
                self.storage.sync_directory(&self.name)?;
            }
            let names = self.storage.list(&self.name)?;
            for name in names.iter().filter(|name| *name != DESTROYED) {
                self.storage.remove(&self.path(name))?;
            }
            if self.storage.exists(&mark)? {
                self.storage.sync_directory(&self.name)?;
                self.storage.remove(&mark)?;
            }
            self.storage.remove_directory(&self.name)?;
            self.storage.sync_directory("")
        };
        destroy().map_err(|error| self.failure("removing", &self.name, error))
    }

    /// Whether a crash interrupted the removal of the folder.
    pub(super) fn is_half_destroyed(&self) -> Result<bool, Failure> {
        let mark = self.path(DESTROYED);
        self.storage.exists(&mark).map_err(|error| self.failure("looking for", &mark, error))
    }

    pub(super) fn sync(&self) -> Result<(), Failure> {
        let result = self.storage.sync_directory(&self.name);
        result.map_err(|error| self.failure("sync of the folder", &self.name, error))
    }

    /// Segments and spare files in ascending order of their numbers; other names are none of ours.
    pub(super) fn list(&self) -> Result<Vec<FolderItem>, Failure> {
        let names =
            self.storage.list(&self.name).map_err(|error| self.failure("listing", &self.name, error))?;
        Ok(names.iter().filter_map(|name| parse_name(name)).collect())
    }

    pub(super) fn has_segments(&self) -> Result<bool, Failure> {
        Ok(self.list()?.iter().any(|item| matches!(item, FolderItem::Segment(_))))
    }

    pub(super) fn segment_path(&self, number: u64) -> String {
        self.path(&format!("{number:016x}{SEGMENT}"))
    }

    /// The folder itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn claim_path(&self) -> String {
        self.path("CLAIM")
    }

    pub(super) fn open_segment(&self, number: u64) -> Result<NamedFile, Failure> {
        self.open(self.segment_path(number))
    }

    pub(super) fn remove_segment(&self, number: u64) -> Result<(), Failure> {
        self.remove(self.segment_path(number))
    }

    pub(super) fn open_spare(&self, number: u64) -> Result<NamedFile, Failure> {
        self.open(self.spare_path(number))
    }

    pub(super) fn remove_spare(&self, number: u64) -> Result<(), Failure> {
        self.remove(self.spare_path(number))
    }

    /// Makes a spare file whose blocks are written, so that a sync has no metadata to commit. `go_on` is
    /// asked between pieces.
    pub(super) fn create_spare(
        &self,
        number: u64,
        bytes: u64,
        go_on: impl Fn() -> bool,
    ) -> Result<bool, Failure> {
        let file = self.create_file(self.spare_path(number))?;
        let zeros = vec![0; ZEROS_BYTES];
        let mut offset = 0;
        while offset < bytes {
            if !go_on() {
                return Ok(false);
            }
            let piece = (bytes - offset).min(ZEROS_BYTES as u64);
            file.write(&mut [IoSlice::new(&zeros[..piece as usize])], offset)?;
            file.sync()?;
            offset += piece;
        }
        Ok(true)
    }

    /// Makes a spare file for one entry too large for a common segment: only reserved, since it is written
    /// once.
    pub(super) fn reserve_spare(&self, number: u64, bytes: u64) -> Result<(), Failure> {
        let file = self.create_file(self.spare_path(number))?;
        file.file.preallocate(bytes).map_err(|error| file.failure("reserving room for", error))?;
        file.file.sync_all().map_err(|error| file.failure("sync", error))
    }

    /// Makes a segment out of a spare file, durably.
    ///
    /// The header is synced before the name, so that a file with a segment's name always has a good header.
    pub(super) fn promote_spare(&self, spare: u64, header: SegmentHeader) -> Result<NamedFile, Failure> {
        let file = self.open_spare(spare)?;
        file.write(&mut [IoSlice::new(&header.encode())], 0)?;
        file.sync()?;
        let path = self.segment_path(header.number);
        let renamed = self.storage.rename(&file.path, &path);
        renamed.map_err(|error| self.failure("renaming to", &path, error))?;
        if !is_planted(Mistake::FolderNotSynced) {
            self.sync()?;
        }
        Ok(NamedFile { path, file: file.file })
    }

    /// Makes a spare file out of a segment. It may be written over only after a sync of the folder: until
    /// then a crash may bring the segment's name back.
    pub(super) fn retire_segment(&self, number: u64, spare: u64) -> Result<(), Failure> {
        let path = self.segment_path(number);
        let renamed = self.storage.rename(&path, &self.spare_path(spare));
        renamed.map_err(|error| self.failure("renaming", &path, error))
    }

    /// The claim record's bytes; `None` in a new log.
    pub(super) fn read_claim(&self) -> Result<Option<[u8; HEADER_BYTES]>, Failure> {
        let path = self.claim_path();
        if !self.storage.exists(&path).map_err(|error| self.failure("looking for", &path, error))? {
            return Ok(None);
        }
        let file = self.open(path)?;
        let mut bytes = [0; HEADER_BYTES];
        // One that is too short reads as zeros, and is refused as damaged.
        if file.bytes()? >= HEADER_BYTES as u64 {
            file.read(&mut bytes, 0)?;
        }
        Ok(Some(bytes))
    }

    /// Replaces the claim record, durably, with all names in the folder.
    pub(super) fn write_claim(&self, record: ClaimRecord) -> Result<(), Failure> {
        let (path, draft) = (self.claim_path(), self.path("CLAIM.new"));
        if self.storage.exists(&draft).map_err(|error| self.failure("looking for", &draft, error))? {
            self.remove(draft.clone())?;
        }
        let file = self.create_file(draft)?;
        file.write(&mut [IoSlice::new(&record.encode())], 0)?;
        file.file.sync_all().map_err(|error| file.failure("sync", error))?;
        let renamed = self.storage.rename(&file.path, &path);
        renamed.map_err(|error| self.failure("renaming to", &path, error))?;
        self.sync()
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn spare_path(&self, number: u64) -> String {
        self.path(&format!("{number:016x}{SPARE}"))
    }

    fn open(&self, path: String) -> Result<NamedFile, Failure> {
        match self.storage.open(&path) {
            Ok(file) => Ok(NamedFile { path, file }),
            Err(error) => Err(self.failure("opening", &path, error)),
        }
    }

    fn create_file(&self, path: String) -> Result<NamedFile, Failure> {
        match self.storage.create(&path) {
            Ok(file) => Ok(NamedFile { path, file }),
            Err(error) => Err(self.failure("making", &path, error)),
        }
    }

    fn remove(&self, path: String) -> Result<(), Failure> {
        self.storage.remove(&path).map_err(|error| self.failure("removing", &path, error))
    }

    fn failure(&self, operation: &'static str, path: &str, error: io::Error) -> Failure {
        Failure { operation, file: path.to_owned(), error }
    }
}

fn parse_name(name: &str) -> Option<FolderItem> {
    let (digits, kind) = name.split_at_checked(16)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    match kind {
        SEGMENT => Some(FolderItem::Segment(number)),
        SPARE => Some(FolderItem::Spare(number)),
        _ => None,
    }
}

/// A segment is at least its header and one entry.
pub(super) const SEGMENT_BYTES_MIN: u64 = 2 * BLOCK_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse_name("00000000000000ff.seg"), Some(FolderItem::Segment(255)));
        assert_eq!(parse_name("0000000000000001.spare"), Some(FolderItem::Spare(1)));
        assert_eq!(parse_name("CLAIM"), None);
        assert_eq!(parse_name("00000000000000ff.seg~"), None);
        assert_eq!(parse_name("öööööööööööööööö.seg"), None);
    }
}

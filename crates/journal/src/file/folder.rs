//! The folder of one log: names of its files, and the small steps on them.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use mistakes::{Mistake, is_planted};

use super::format::{BLOCK_BYTES, ClaimRecord, HEADER_BYTES, SegmentHeader};
use super::spares::Spare;
use crate::storage::{GivingWay, Storage, StorageFile};
use crate::{ClaimError, LostReason, SegmentName};

/// Zeros are written in pieces of this size: nobody gets the processor while a piece is copied into the system's cache.
const ZEROS_BYTES: usize = 64 << 10;
/// Zeros are synced each time that so many are written: a flood of them would delay the syncs of the log.
const ZEROS_SYNCED_BYTES: u64 = 1 << 20;

const SEGMENT: &str = ".seg";
const SPARE: &str = ".spare";
const RESERVE: &str = ".reserve";
const COMPACTED: &str = ".compacted";
const DRAFT: &str = ".compacted.new";

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
        let is_full = is_full(&error);
        let error = Arc::new(error);
        match is_full {
            true => LostReason::StorageFull { file, error },
            false => LostReason::StorageFailed { operation, file, error },
        }
    }
}

impl Failure {
    /// Whether more room is all that is wanted.
    pub(super) fn is_want_of_room(&self) -> bool {
        is_full(&self.error)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
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

    /// Reserves room for so many bytes.
    /// Cuts it to this size.
    fn cut(&self, bytes: u64) -> Result<(), Failure> {
        self.file.set_len(bytes).map_err(|error| self.failure("cutting", error))
    }

    fn preallocate(&self, bytes: u64) -> Result<(), Failure> {
        self.file.preallocate(bytes).map_err(|error| self.failure("reserving room for", error))
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
    Reserve(u64),
    Compacted(u64),
    /// A compacted file that a crash has left unfinished.
    Draft(u64),
}

impl FolderItem {
    /// What holds entries has such a name.
    pub(super) fn segment_name(&self) -> Option<SegmentName> {
        match self {
            FolderItem::Segment(number) => Some(SegmentName::Written(*number)),
            FolderItem::Compacted(number) => Some(SegmentName::Compacted(*number)),
            FolderItem::Spare(_) | FolderItem::Reserve(_) | FolderItem::Draft(_) => None,
        }
    }
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

    /// The log's files but for its claim record, in ascending order of their numbers; other names are none of ours.
    pub(super) fn list(&self) -> Result<Vec<FolderItem>, Failure> {
        let names =
            self.storage.list(&self.name).map_err(|error| self.failure("listing", &self.name, error))?;
        Ok(names.iter().filter_map(|name| parse_name(name)).collect())
    }

    pub(super) fn has_segments(&self) -> Result<bool, Failure> {
        Ok(self.list()?.iter().any(|item| item.segment_name().is_some()))
    }

    pub(super) fn segment_path(&self, number: u64) -> String {
        self.path(&SegmentName::Written(number).to_string())
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

    pub(super) fn compacted_path(&self, number: u64) -> String {
        self.path(&SegmentName::Compacted(number).to_string())
    }

    pub(super) fn open_compacted(&self, number: u64) -> Result<NamedFile, Failure> {
        self.open(self.compacted_path(number))
    }

    pub(super) fn remove_compacted(&self, number: u64) -> Result<(), Failure> {
        self.remove(self.compacted_path(number))
    }

    /// Makes the draft of a compacted file.
    pub(super) fn create_draft(&self, number: u64) -> Result<NamedFile, Failure> {
        self.create_file(self.draft_path(number))
    }

    pub(super) fn remove_draft(&self, number: u64) -> Result<(), Failure> {
        self.remove(self.draft_path(number))
    }

    /// Gives a draft, which is synced, the name of a compacted file, durably.
    pub(super) fn publish_draft(&self, number: u64) -> Result<(), Failure> {
        let path = self.compacted_path(number);
        let renamed = self.storage.rename(&self.draft_path(number), &path);
        renamed.map_err(|error| self.failure("renaming to", &path, error))?;
        self.sync()
    }

    pub(super) fn remove_segment(&self, number: u64) -> Result<(), Failure> {
        self.remove(self.segment_path(number))
    }

    /// The size of a spare file, in bytes.
    pub(super) fn spare_bytes(&self, number: u64, is_reserve: bool) -> Result<u64, Failure> {
        self.open_spare(Spare { number, bytes: 0, is_reserve })?.bytes()
    }

    pub(super) fn open_spare(&self, spare: Spare) -> Result<NamedFile, Failure> {
        self.open(self.spare_path(spare))
    }

    /// Removes a spare file bit by bit: a file system that frees a large file at once lets syncs of others wait for it, 10 to 20 ms for
    /// one of 64 MiB. If a crash comes between, it is a smaller spare file.
    pub(super) fn remove_spare(&self, spare: Spare) -> Result<(), Failure> {
        if spare.bytes > REMOVED_AT_ONCE_BYTES_MAX {
            let file = self.open_spare(spare)?;
            let mut bytes = file.bytes()?;
            while bytes > REMOVED_AT_ONCE_BYTES_MAX {
                bytes -= REMOVED_AT_ONCE_BYTES_MAX;
                file.cut(bytes)?;
            }
        }
        self.remove(self.spare_path(spare))
    }

    /// Makes a spare file whose blocks are written, so that a sync has no metadata to commit. `go_on` is
    /// asked between pieces. A file that could not be made whole is removed.
    pub(super) fn create_spare(&self, spare: Spare, go_on: impl Fn() -> bool) -> Result<bool, Failure> {
        let made = self.create_file(self.spare_path(spare)).and_then(|file| fill(&file, spare.bytes, go_on));
        self.remove_unless(made.is_ok(), spare);
        made
    }

    /// Makes a spare file that is only reserved: for one entry too large for a common segment, which is written once, or
    /// for the reserve, which as a rule never is. A file that could not be made whole is removed.
    pub(super) fn reserve_spare(&self, spare: Spare) -> Result<(), Failure> {
        let made = self.create_file(self.spare_path(spare)).and_then(|file| {
            file.preallocate(spare.bytes)?;
            file.file.sync_all().map_err(|error| file.failure("sync", error))
        });
        self.remove_unless(made.is_ok(), spare);
        made
    }

    /// A file that takes room and is good for nothing is in the way of others. If it can't be removed either, the next
    /// claim does so.
    fn remove_unless(&self, is_whole: bool, spare: Spare) {
        if !is_whole && let Err(Failure { operation, file, error }) = self.remove_spare(spare) {
            tracing::debug!(operation, file, %error, "cannot remove what could not be made");
        }
    }

    /// How many bytes the storage has free.
    pub(super) fn available_bytes(&self) -> Result<u64, Failure> {
        self.storage
            .available_bytes()
            .map_err(|error| self.failure("asking for the room of", &self.name, error))
    }

    /// The failure of who waited for room in vain.
    pub(super) fn no_room(&self) -> Failure {
        self.failure("making a segment in", &self.name, ErrorKind::StorageFull.into())
    }

    /// Makes a segment out of a spare file, durably.
    ///
    /// The header is synced before the name, so that a file with a segment's name always has a good header.
    pub(super) fn promote_spare(&self, spare: Spare, header: SegmentHeader) -> Result<NamedFile, Failure> {
        let file = self.open(self.spare_path(spare))?;
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
    pub(super) fn retire_segment(&self, number: u64, spare: Spare) -> Result<(), Failure> {
        let path = self.segment_path(number);
        let renamed = self.storage.rename(&path, &self.spare_path(spare));
        renamed.map_err(|error| self.failure("renaming", &path, error))
    }

    /// Gives a compacted file that is not needed any more the name of a spare file. Not durable before a sync of the folder.
    pub(super) fn retire_compacted(&self, number: u64, spare: Spare) -> Result<(), Failure> {
        let path = self.compacted_path(number);
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

    /// As [`Self::write_claim`]; on a full disk a spare file gives some of its room for it, so that a start needs none.
    pub(super) fn write_claim_for_sure(&self, record: ClaimRecord) -> Result<(), Failure> {
        match self.write_claim(record) {
            Err(failure) if failure.is_want_of_room() => {
                if !self.shrink_a_spare()? {
                    return Err(failure);
                }
                self.write_claim(record)
            }
            other => other,
        }
    }

    /// Gives some room of a spare file back to the disk. False if there is none that could.
    fn shrink_a_spare(&self) -> Result<bool, Failure> {
        for item in self.list()? {
            let (number, is_reserve) = match item {
                FolderItem::Spare(number) => (number, false),
                FolderItem::Reserve(number) => (number, true),
                _ => continue,
            };
            let file = self.open(self.spare_path(Spare { number, bytes: 0, is_reserve }))?;
            let bytes = file.bytes()?;
            let given_bytes = GIVEN_BYTES_MAX.min(bytes / 2 / BLOCK_BYTES * BLOCK_BYTES);
            if bytes - given_bytes >= SEGMENT_BYTES_MIN {
                let shrunk = file.file.set_len(bytes - given_bytes).and_then(|()| file.file.sync_all());
                return shrunk.map(|()| true).map_err(|error| file.failure("shortening", error));
            }
        }
        Ok(false)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn draft_path(&self, number: u64) -> String {
        self.path(&format!("{number:016x}{DRAFT}"))
    }

    fn spare_path(&self, Spare { number, is_reserve, .. }: Spare) -> String {
        let kind = if is_reserve { RESERVE } else { SPARE };
        self.path(&format!("{number:016x}{kind}"))
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

/// So much of a file is freed at once, in bytes.
const REMOVED_AT_ONCE_BYTES_MAX: u64 = 4 << 20;

/// Writes a file full of zeros. False if `go_on` said to stop.
fn fill(file: &NamedFile, bytes: u64, go_on: impl Fn() -> bool) -> Result<bool, Failure> {
    // First of all the room: who comes too late for it is told before anything was written.
    file.preallocate(bytes)?;
    let (zeros, mut way) = ([0; ZEROS_BYTES], GivingWay::new());
    let mut offset = 0;
    while offset < bytes {
        if !go_on() {
            return Ok(false);
        }
        let piece = (bytes - offset).min(ZEROS_BYTES as u64);
        file.write(&mut [IoSlice::new(&zeros[..piece as usize])], offset)?;
        offset += piece;
        if offset.is_multiple_of(ZEROS_SYNCED_BYTES) || offset == bytes {
            file.sync()?;
        }
        way.step();
    }
    Ok(true)
}

fn parse_name(name: &str) -> Option<FolderItem> {
    let (digits, kind) = name.split_at_checked(16)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    match kind {
        SEGMENT => Some(FolderItem::Segment(number)),
        SPARE => Some(FolderItem::Spare(number)),
        RESERVE => Some(FolderItem::Reserve(number)),
        COMPACTED => Some(FolderItem::Compacted(number)),
        DRAFT => Some(FolderItem::Draft(number)),
        _ => None,
    }
}

/// What a spare file gives for a claim record, at most: a few blocks of any file system.
const GIVEN_BYTES_MAX: u64 = 64 * 1024;

/// A segment is at least its header and one entry.
pub(super) const SEGMENT_BYTES_MIN: u64 = 2 * BLOCK_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse_name("00000000000000ff.seg"), Some(FolderItem::Segment(255)));
        assert_eq!(parse_name("0000000000000001.spare"), Some(FolderItem::Spare(1)));
        assert_eq!(parse_name("0000000000000002.reserve"), Some(FolderItem::Reserve(2)));
        assert_eq!(parse_name("0000000000000003.compacted"), Some(FolderItem::Compacted(3)));
        assert_eq!(parse_name("0000000000000004.compacted.new"), Some(FolderItem::Draft(4)));
        assert_eq!(parse_name("CLAIM"), None);
        assert_eq!(parse_name("00000000000000ff.seg~"), None);
        assert_eq!(parse_name("öööööööööööööööö.seg"), None);
    }
}

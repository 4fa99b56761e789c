//! One suite, every engine.

use std::sync::Arc;

use journal::conformance::{Subject, check};
use journal::storage::{DirectoryStorage, MemoryStorage};
use journal::{FileJournal, Journal, MemoryJournal};

use crate::support::{file_journal, small_segments};

struct InMemory(MemoryJournal);

impl Subject for InMemory {
    fn fresh() -> InMemory {
        InMemory(MemoryJournal::automatic())
    }

    fn journal(&self) -> &dyn Journal {
        &self.0
    }

    fn restart(&mut self) {
        self.0.crash(1);
    }
}

struct OnMemoryStorage {
    storage: MemoryStorage,
    journal: FileJournal,
    crashes: u64,
}

impl Subject for OnMemoryStorage {
    fn fresh() -> OnMemoryStorage {
        let storage = MemoryStorage::new();
        OnMemoryStorage { journal: file_journal(&storage), storage, crashes: 0 }
    }

    fn journal(&self) -> &dyn Journal {
        &self.journal
    }

    fn restart(&mut self) {
        self.crashes += 1;
        self.storage.crash(self.crashes);
        self.journal = file_journal(&self.storage);
    }
}

struct OnDirectory {
    folder: tempfile::TempDir,
    journal: FileJournal,
}

impl OnDirectory {
    fn open(folder: &tempfile::TempDir) -> FileJournal {
        FileJournal::new(Arc::new(DirectoryStorage::new(folder.path())), small_segments())
    }
}

impl Subject for OnDirectory {
    fn fresh() -> OnDirectory {
        let folder = tempfile::tempdir().unwrap();
        OnDirectory { journal: OnDirectory::open(&folder), folder }
    }

    fn journal(&self) -> &dyn Journal {
        &self.journal
    }

    fn restart(&mut self) {
        self.journal = OnDirectory::open(&self.folder);
    }
}

#[test]
fn memory_engine_keeps_the_contract() {
    check::<InMemory>();
}

#[test]
fn file_engine_keeps_the_contract_on_a_disk_that_loses_power() {
    check::<OnMemoryStorage>();
}

#[test]
fn file_engine_keeps_the_contract_on_a_real_folder() {
    check::<OnDirectory>();
}

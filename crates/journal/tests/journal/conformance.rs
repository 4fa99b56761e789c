//! One suite, every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use journal::conformance::{Subject, check};
use journal::storage::{DirectoryStorage, MemoryStorage};
use journal::{FileJournal, Journal, MemoryJournal, Step};

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

/// The file engine without threads, with somebody who does all its steps.
struct Stepped {
    storage: MemoryStorage,
    journal: Arc<FileJournal>,
    is_over: Arc<AtomicBool>,
    stepping: Option<JoinHandle<()>>,
    crashes: u64,
}

const STEPS: [Step; 4] = [Step::Write, Step::Sync, Step::Read(1), Step::Spares];

impl Stepped {
    fn on(storage: MemoryStorage, crashes: u64) -> Stepped {
        let journal = Arc::new(FileJournal::stepped(Arc::new(storage.clone()), small_segments()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (steps, over) = (journal.clone(), is_over.clone());
        let stepping = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let round = |log| STEPS.into_iter().filter(|step| steps.step(&log, *step)).count();
                if steps.logs().into_iter().map(round).sum::<usize>() == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        });
        Stepped { storage, journal, is_over, stepping: Some(stepping), crashes }
    }

    fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.stepping.take().map(JoinHandle::join);
    }
}

impl Subject for Stepped {
    fn fresh() -> Stepped {
        Stepped::on(MemoryStorage::new(), 0)
    }

    fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    fn restart(&mut self) {
        self.stop();
        self.storage.crash(self.crashes + 1);
        *self = Stepped::on(self.storage.clone(), self.crashes + 1);
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn file_engine_keeps_the_contract_step_by_step() {
    check::<Stepped>();
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

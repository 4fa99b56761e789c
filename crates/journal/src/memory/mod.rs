//! A journal in memory: for tests, for simulation, and as the plainest reading of the contract.

mod disk;
mod handles;
mod log;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use self::disk::Disk;
use crate::{Claim, ClaimError, Cursor, Description, DestroyError, Epoch, Journal, LogName, Lsn, Wake};

/// A journal whose "storage" is memory and whose progress the test decides.
///
/// In a journal made by [`MemoryJournal::manual`] nothing becomes durable and no read completes until
/// [`step`](Self::step) or [`step_read`](Self::step_read) is called; wakes are called by those, on the
/// caller's thread. All of it is deterministic. One made by [`MemoryJournal::automatic`] has a thread that
/// takes the steps.
///
/// Clones share the same logs. Logs outlive their writers, so that a claim after a [`crash`](Self::crash)
/// finds what a disk would have kept.
#[derive(Clone)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
}

/// Settings of the memory engine's contract that tests may rely on.
impl MemoryJournal {
    /// Entries of one segment, so that tests can tell what a trim frees: entries 1 to 8 are segment 1, 9 to
    /// 16 segment 2.
    pub const SEGMENT_ENTRIES: u64 = 8;

    /// The largest entry, in bytes.
    pub const ENTRY_BYTES_MAX: u64 = 1 << 30;

    /// A journal that moves only when told to.
    pub fn manual() -> MemoryJournal {
        MemoryJournal { shared: Arc::new(Shared { manual: true, ..Shared::default() }) }
    }

    /// A journal whose own thread makes everything durable, and answers reads, as soon as it can.
    pub fn automatic() -> MemoryJournal {
        let journal = MemoryJournal { shared: Arc::new(Shared::default()) };
        let shared = Arc::downgrade(&journal.shared);
        std::thread::Builder::new()
            .name("journal-memory".into())
            .spawn(move || drive(&shared))
            .expect("the machine can start a thread");
        journal
    }

    /// Makes the entry that was submitted first, of all logs, durable. `false` if none is waiting.
    pub fn step(&self) -> bool {
        // In two statements, so that the lock is given back before the wake.
        let stepped = self.shared.lock().step();
        deliver(stepped)
    }

    /// Completes one pending read, the oldest being number 0. `false` if there are not that many.
    pub fn step_read(&self, index: usize) -> bool {
        let stepped = self.shared.lock().step_read(index);
        deliver(stepped)
    }

    /// How many reads wait for their answer.
    pub fn pending_reads(&self) -> usize {
        self.shared.lock().reads.len()
    }

    /// Takes steps until nothing waits, including what wakes submit meanwhile.
    pub fn run(&self) {
        while self.step() || self.step_read(0) {}
    }

    /// Stops (or lets go again) the thread of an automatic journal, as a disk that hangs.
    pub fn stall(&self, stalled: bool) {
        self.shared.lock().stalled = stalled;
        self.shared.changed.notify_all();
    }

    /// Lets the storage fail when it comes to make `lsn` durable: the writer ends as lost.
    pub fn lose_at(&self, log: &LogName, lsn: Lsn) {
        self.shared.lock().log(log).lose_at = Some(lsn);
    }

    /// Ends all writers at once, as a power cut. The next claim of each log finds its durable entries, and of
    /// those still in flight the first `survivors`.
    pub fn crash(&self, survivors: usize) {
        let wakes = self.shared.lock().crash(survivors);
        wakes.iter().for_each(|wake| wake());
    }

    /// Damages an entry: a claim that has to replay it fails, and so does a read of it.
    pub fn corrupt(&self, log: &LogName, lsn: Lsn) {
        self.shared.lock().log(log).corrupt.insert(lsn);
    }
}

impl Journal for MemoryJournal {
    fn describe(&self) -> Description {
        Description {
            durable_means: "kept in memory; lost when the process ends",
            entry_bytes_max: Self::ENTRY_BYTES_MAX,
            batch_bytes_preferred: 64 * 1024,
        }
    }

    fn claim(&self, name: &LogName, epoch: Epoch, from: Option<Cursor>) -> Result<Claim, ClaimError> {
        let from = match from {
            None => Lsn::ZERO,
            Some(cursor) => cursor.lsn().ok_or(ClaimError::ForeignCursor)?,
        };
        let mut disk = self.shared.lock();
        let session = disk.next_session();
        let log = disk.log(name);
        let epoch_before = log.epoch();
        let deposed = log.claim(session, epoch, from)?;
        let (tail, entries) = (log.durable, log.replay(from));
        drop(disk);
        deposed.iter().for_each(|wake| wake());
        Ok(Claim {
            reader: Box::new(handles::MemoryReader::new(entries)),
            writer: Box::new(handles::MemoryWriter::new(self.shared.clone(), name.clone(), session, tail)),
            tail,
            epoch_before,
        })
    }

    fn destroy(&self, name: &LogName, epoch: Epoch) -> Result<(), DestroyError> {
        let deposed = self.shared.lock().destroy(name, epoch)?;
        deposed.iter().for_each(|wake| wake());
        Ok(())
    }
}

#[derive(Default)]
struct Shared {
    disk: Mutex<Disk>,
    /// Signalled when there may be something to do for the thread of an automatic journal, or something to
    /// see for a writer that closes.
    changed: Condvar,
    /// Nobody takes steps but the test; so closing a writer takes its own.
    manual: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a step did: nothing, or something, with the one to be told.
enum Step {
    Idle,
    Done(Option<Wake>),
}

fn deliver(step: Step) -> bool {
    match step {
        Step::Idle => false,
        Step::Done(wake) => {
            wake.inspect(|wake| wake());
            true
        }
    }
}

/// The thread of an automatic journal: ends when the last clone and the last writer are gone.
fn drive(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let disk = shared.lock();
        let idle = disk.stalled || disk.is_idle();
        if idle {
            // Bounded, so that the thread notices when nobody holds the journal any more.
            let pause = std::time::Duration::from_millis(20);
            drop(shared.changed.wait_timeout(disk, pause));
            continue;
        }
        drop(disk);
        let journal = MemoryJournal { shared: shared.clone() };
        let appended = journal.step();
        let answered = journal.step_read(0);
        if appended || answered {
            shared.changed.notify_all();
        }
    }
}

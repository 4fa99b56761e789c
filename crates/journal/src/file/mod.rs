//! The file engine: segments in a folder per log, one write and one sync for all that waits.
//!
//! ```text
//!   append ─> queue ─> committers ── write, fdatasync ──> durable, wake
//!                        │    ▲
//!             old segment│    │next segment, made in advance
//!                        ▼    │
//!   trim ─────────────> spares <── look for room ── keeper          read ─> readers ─> wake
//! ```
//!
//! Committers, spares and readers are crews of threads that all logs share and that end when there is nothing to do.
//!
//! The bytes on disk are drawn in `docs/journal-format.md`.

mod blame;
mod bodies;
mod buffers;
mod commit;
mod compacted;
mod compactor;
mod crew;
mod folder;
mod format;
mod keeper;
mod recovery;
mod repair;
mod replay;
mod segments;
mod session;
mod spares;
mod step;
pub(crate) mod survey;
mod walk;
mod writer;

pub use self::step::{Pending, Step};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use self::bodies::Bodies;
use self::commit::{Committer, LoseAtPanic, Pace};
use self::compactor::Compactor;
use self::crew::{Crew, Work};
use self::folder::{Failure, Folder, SEGMENT_BYTES_MIN};
use self::format::{BLOCK_BYTES, ClaimRecord, PAYLOAD_BYTES_MAX};
use self::keeper::Keeper;
use self::recovery::{Recovered, recover};
use self::replay::FileReader;
use self::segments::SegmentTable;
use self::session::{Session, lock};
use self::spares::Spares;
use self::writer::FileWriter;
use crate::storage::Storage;
use crate::{Claim, ClaimError, Cursor, Description, DestroyError, Epoch, Journal, LogName, Lsn};

/// Settings of the file engine.
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    /// A random number, from a good source. Each new log gets its id from it, which marks the log's entries;
    /// whoever knew it could publish bytes that pass for entries of the journal after a crash.
    pub log_id_seed: u64,
    /// Size of a log's first segment, in bytes; each further one is twice as large. Default 1 MiB. Rounded up
    /// to 4096.
    pub segment_bytes_first: u64,
    /// Where segments stop growing, in bytes. Default 64 MiB. An entry that does not fit gets a segment of
    /// its own.
    pub segment_bytes_max: u64,
    /// About how much goes into one write and sync, in bytes, unless a single entry is larger. Default 4 MiB.
    /// More would let the first entries of a large queue wait longer than the disk gains.
    pub commit_bytes_max: u64,
    /// How many trimmed segments are kept to be written again, per log. Default 4.
    pub spare_segments_max: usize,
    /// Bytes of files that are kept, per log, to be written when the storage has no room for anything else. Default 0.
    pub reserve_bytes: u64,
}

impl FileOptions {
    /// The defaults, with this seed.
    pub fn new(log_id_seed: u64) -> FileOptions {
        FileOptions {
            log_id_seed,
            segment_bytes_first: 1 << 20,
            segment_bytes_max: 64 << 20,
            commit_bytes_max: 4 << 20,
            spare_segments_max: 4,
            reserve_bytes: 0,
        }
    }

    fn rounded(mut self) -> FileOptions {
        let round = |bytes: u64| bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(BLOCK_BYTES);
        self.segment_bytes_first = round(self.segment_bytes_first);
        self.segment_bytes_max = round(self.segment_bytes_max).max(self.segment_bytes_first);
        self
    }

    /// How many files the reserve has.
    fn reserve_files(&self) -> usize {
        if self.reserve_bytes == 0 { 0 } else { RESERVE_FILES as usize }
    }

    /// The size of a file of the reserve. Several, because one is freed while another is written.
    fn reserve_file_bytes(&self) -> u64 {
        (self.reserve_bytes / RESERVE_FILES).max(SEGMENT_BYTES_MIN).next_multiple_of(BLOCK_BYTES)
    }

    /// The size of the segment that follows one of this size.
    fn bytes_after(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(2).clamp(self.segment_bytes_first, self.segment_bytes_max)
    }
}

/// Files of which a reserve consists.
const RESERVE_FILES: u64 = 4;

/// A journal in files.
///
/// Keep other processes away from its storage, by a lock that ends with the process. Within a process, have one
/// `FileJournal` per storage. Its logs share their threads, of which there are as many as there is work for, up to a bound.
pub struct FileJournal {
    storage: Arc<dyn Storage>,
    options: FileOptions,
    /// Nobody where the owner does the steps.
    threads: Option<Threads>,
    slots: Mutex<BTreeMap<LogName, Arc<Slot>>>,
}

/// Who works for the logs of a journal.
struct Threads {
    committers: Arc<Crew>,
    spares: Arc<Crew>,
    readers: Arc<Crew>,
    keeper: Arc<Keeper>,
}

/// Logs that are committed at the same moment: more syncs at once gain nothing, and take longer each.
const COMMITTERS_MAX: usize = 64;

/// Segments that are prepared at the same moment: a flood of zeros would delay the syncs of all logs.
const SPARES_MAX: usize = 4;

/// Reads at the same moment.
const READERS_MAX: usize = 16;

/// The one at work on a log; the lock is held during a claim.
type Slot = Mutex<Option<Arc<Running>>>;

/// The work of one claim.
struct Running {
    /// Lone callers may commit on their own threads.
    takes_help: bool,
    session: Arc<Session>,
    spares: Arc<Spares>,
    bodies: Arc<Bodies>,
    compactor: Arc<Compactor>,
    /// The end of the log.
    committer: Arc<Mutex<Committer>>,
}

impl Running {
    /// Has nothing more begun.
    fn stop(&self) {
        self.session.stop();
        self.spares.stop();
        self.compactor.stop();
    }

    /// Ends the reign: when this returns, the files are touched by no one and nobody is told anything more.
    fn fence(&self, by: Epoch) {
        self.session.fence(by);
        self.stop();
        self.wait_unattended();
    }

    /// Waits until nobody works on it any more: after [`Self::stop`].
    fn wait_unattended(&self) {
        self.session.wait_unattended();
        // A lone caller that commits on its own thread was not called.
        drop(lock(&self.committer));
        self.compactor.wait_unattended();
        self.spares.wait_unattended();
    }

    /// Ends the reign in peace: waits until all that was submitted is committed, or can't be.
    fn drain(&self) {
        self.session.wait_unattended();
        let _guard = LoseAtPanic(&self.session);
        let mut committer = lock(&self.committer);
        if committer.commit_queued() {
            committer.end();
        }
        self.session.stop();
    }
}

impl Work for Running {
    fn step(&self) -> bool {
        let _leaving = AbandonAtPanic(&self.session);
        let _guard = LoseAtPanic(&self.session);
        let has_worked = !self.session.is_stopped() && lock(&self.committer).commit_part();
        // It may have taken more than it has written.
        has_worked || self.session.stay()
    }
}

/// Nobody waits for ever for a thread that is gone.
struct AbandonAtPanic<'session>(&'session Session);

impl Drop for AbandonAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

impl Threads {
    fn new() -> Threads {
        Threads {
            committers: Crew::new("journal-commit", COMMITTERS_MAX),
            spares: Crew::new("journal-spares", SPARES_MAX),
            readers: Crew::new("journal-read", READERS_MAX),
            keeper: Arc::default(),
        }
    }

    /// Puts the threads to work on a log.
    fn attend(&self, running: &Arc<Running>, claim_path: String) -> std::io::Result<()> {
        self.keeper.keep(running)?;
        // Weak: the session is a part of what is handed out.
        let (weak, committers) = (Arc::downgrade(running), self.committers.clone());
        running.session.attend_by(Arc::new(move || {
            let Some(running) = weak.upgrade() else { return };
            if let Err(error) = committers.hand(running.clone()) {
                let file = claim_path.clone();
                running.session.lose(Failure { operation: "starting a thread for", file, error }.into());
                running.session.abandon();
            }
        }));
        Ok(())
    }
}

impl FileJournal {
    /// A journal in `storage`, which is not touched before the first claim.
    pub fn new(storage: Arc<dyn Storage>, options: FileOptions) -> FileJournal {
        FileJournal::driven_by(Some(Threads::new()), storage, options)
    }

    /// A journal that has no threads and reads no clock: nothing happens but what its owner does by [`Self::step`]. For
    /// simulation, where the order of everything has to come from a seed.
    pub fn stepped(storage: Arc<dyn Storage>, options: FileOptions) -> FileJournal {
        FileJournal::driven_by(None, storage, options)
    }

    fn driven_by(threads: Option<Threads>, storage: Arc<dyn Storage>, options: FileOptions) -> FileJournal {
        FileJournal { storage, options: options.rounded(), threads, slots: Mutex::default() }
    }

    fn slot(&self, log: &LogName) -> Arc<Slot> {
        lock(&self.slots).entry(log.clone()).or_default().clone()
    }

    fn folder(&self, log: &LogName) -> Folder {
        Folder::new(self.storage.clone(), log.as_str())
    }

    /// The id of a new log: different for each name, unknown to those who do not know the seed.
    fn new_log_id(&self, log: &LogName) -> u64 {
        let mixed = log.as_str().bytes().fold(self.options.log_id_seed, |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
        });
        mixed ^ (mixed >> 31)
    }

    fn start(
        &self,
        folder: &Folder,
        record: ClaimRecord,
        recovered: Recovered,
    ) -> Result<Arc<Running>, Failure> {
        let Recovered { segments, compacted, superfluous, end, tail, .. } = recovered;
        let next_compacted = compacted.iter().map(|compacted| compacted.number).max().unwrap_or(0) + 1;
        let next_bytes = match &end {
            Some(end) => self.options.bytes_after(end.walk.bytes),
            None => self.options.segment_bytes_first,
        };
        let session = Arc::new(Session::new(record.epoch, tail, SegmentTable::new(segments, compacted)));
        session.set_active_bytes(end.as_ref().map_or(0, |end| end.walk.bytes - end.offset));
        let crew = |of: fn(&Threads) -> &Arc<Crew>| self.threads.as_ref().map(|threads| of(threads).clone());
        let spares_crew = crew(|threads| &threads.spares);
        let spares = Spares::open(folder.clone(), self.options, next_bytes, session.clone(), spares_crew)?;
        let committer = Arc::new(Mutex::new(Committer {
            folder: folder.clone(),
            options: self.options,
            log_id: record.log_id,
            session: session.clone(),
            spares: spares.clone(),
            active: end,
            taken: Vec::new(),
            written: None,
            pace: Pace::default(),
        }));
        let readers = crew(|threads| &threads.readers);
        let bodies = Arc::new(Bodies::new(folder.clone(), record.log_id, session.clone(), readers));
        spares.condemn(superfluous);
        let compactor = Compactor::new(
            folder.clone(),
            record.log_id,
            next_compacted,
            session.clone(),
            spares.clone(),
            bodies.clone(),
            crew(|threads| &threads.spares),
        );
        let takes_help = self.threads.is_some();
        let running = Arc::new(Running { takes_help, session, spares, bodies, compactor, committer });
        if let Some(threads) = &self.threads {
            let failure =
                |error| Failure { operation: "starting a thread for", file: folder.claim_path(), error };
            threads.attend(&running, folder.claim_path()).map_err(failure)?;
        }
        Ok(running)
    }
}

impl Journal for FileJournal {
    fn describe(&self) -> Description {
        Description {
            durable_means: "written and synced (fdatasync) to the local file system",
            entry_bytes_max: PAYLOAD_BYTES_MAX,
            batch_bytes_preferred: 1 << 20,
        }
    }

    fn claim(&self, log: &LogName, epoch: Epoch, from: Option<Cursor>) -> Result<Claim, ClaimError> {
        let from = match from {
            None => Lsn::ZERO,
            Some(cursor) => cursor.lsn().ok_or(ClaimError::ForeignCursor)?,
        };
        let (slot, folder) = (self.slot(log), self.folder(log));
        let mut slot = lock(&slot);
        if folder.is_half_destroyed()? {
            folder.destroy()?;
        }
        if !folder.exists()? {
            folder.create()?;
        }
        let before = self.read_record(log, &folder)?;
        if epoch < before.epoch {
            return Err(ClaimError::Superseded { by: before.epoch, epoch });
        }
        if let Some(running) = slot.take() {
            running.fence(epoch);
        }
        // Again: closing the log may have written it.
        let before = self.read_record(log, &folder)?;
        let recovered = recover(&folder, before.log_id, from, before.durable)?;
        let record = ClaimRecord { epoch, durable: recovered.tail, ..before };
        folder.write_claim_for_sure(record)?;

        let (tail, start) = (recovered.tail, recovered.replay_at);
        let numbers: Vec<u64> = recovered.segments.iter().map(|segment| segment.number).collect();
        let reader =
            FileReader::new(folder.clone(), record.log_id, numbers.into_iter(), start, from.next(), tail);
        let running = self.start(&folder, record, recovered)?;
        *slot = Some(running.clone());
        Ok(Claim {
            reader: Box::new(reader),
            writer: Box::new(FileWriter::new(running, tail)),
            tail,
            epoch_before: before.epoch,
        })
    }

    fn destroy(&self, log: &LogName, epoch: Epoch) -> Result<(), DestroyError> {
        let (slot, folder) = (self.slot(log), self.folder(log));
        let mut slot = lock(&slot);
        if !folder.exists()? {
            return Ok(());
        }
        let held_by = folder.read_claim()?.and_then(|bytes| ClaimRecord::decode(&bytes).ok());
        if let Some(by) = held_by.map(|record| record.epoch).filter(|by| *by > epoch) {
            return Err(DestroyError::Superseded { by, epoch });
        }
        if let Some(running) = slot.take() {
            running.fence(epoch);
        }
        Ok(folder.destroy()?)
    }
}

impl Drop for FileJournal {
    /// Waits until nobody works for dropped writers, so that another journal may be opened on the storage. Living writers go
    /// on.
    fn drop(&mut self) {
        for slot in lock(&self.slots).values() {
            if let Some(running) = lock(slot).take().filter(|running| running.session.is_stopped()) {
                running.wait_unattended();
            }
        }
    }
}

impl FileJournal {
    /// The claim record; that of a new log if there is none.
    fn read_record(&self, log: &LogName, folder: &Folder) -> Result<ClaimRecord, ClaimError> {
        match folder.read_claim()? {
            Some(bytes) => {
                ClaimRecord::decode(&bytes).map_err(|detail| recovery::damaged_claim(folder, detail))
            }
            None => {
                recovery::check_missing_claim(folder)?;
                Ok(ClaimRecord { log_id: self.new_log_id(log), epoch: Epoch(0), durable: Lsn::ZERO })
            }
        }
    }
}

impl From<Failure> for DestroyError {
    fn from(Failure { operation, file, error }: Failure) -> DestroyError {
        DestroyError::Storage { operation, file, error: Arc::new(error) }
    }
}

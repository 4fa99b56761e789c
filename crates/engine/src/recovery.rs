//! The start: newest checkpoint, then what the journal says behind it.

use std::sync::Arc;

use broker::{BrokenRecord, Broker, Lsn, NumberMap, Output, Record, Timestamp};
use journal::storage::Storage;
use journal::{Claim, ClaimError, Epoch, Journal, LogName, ReadError};

use mistakes::{Mistake, is_planted};

use crate::bodies::Bodies;
use crate::checkpoint::{
    CheckpointDamage, CheckpointError, CheckpointStore, Checkpoints, Loaded, Manifest, RunsByKey,
};
use crate::engine::Engine;
use crate::loads::Loads;
use crate::lone::Lone;
use crate::parked::Parked;
use crate::reads::Reads;
use crate::room::RoomWatch;
use crate::settings::Settings;

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Counts the boots of this log, this one included.
    pub boot: u64,
    /// The boot before ended in peace.
    pub clean: bool,
    /// The entry at which the checkpoint stands; 0 without one.
    pub checkpoint_lsn: u64,
    /// Entries that were replayed behind it.
    pub entries_replayed: u64,
    /// Bytes of those entries.
    pub bytes_replayed: u64,
    /// Queues that are there now.
    pub queues: u64,
    /// Messages that are there now.
    pub messages: u64,
}

/// An engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The checkpoint folder can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No checkpoint is whole, and the journal does not go back to its first entry.
    #[error(
        "no checkpoint is whole: {}, at byte {}: {}; `forebay doctor DIR` shows what is left and repairs",
        .0.file, .0.offset, .0.detail
    )]
    Damaged(CheckpointDamage),
    /// The journal can't be had.
    #[error("cannot take over the journal: {0}")]
    Claim(#[from] ClaimError),
    /// The journal can't be read.
    #[error("cannot replay the journal: {0}")]
    Read(#[from] ReadError),
    /// The journal says something that this version does not understand.
    #[error("cannot replay the journal: {0}; was it written by a newer version?")]
    Record(#[from] BrokenRecord),
}

/// How often a claim is tried again with a higher epoch.
const CLAIM_TRIES: usize = 3;

impl Engine {
    /// Takes over a vhost: loads its newest checkpoint, claims its journal and replays what lies behind.
    ///
    /// Blocks; costs the size of the checkpoint and of the journal behind it. `storage` holds the checkpoints.
    pub fn open(
        settings: Settings,
        journal: &dyn Journal,
        log: &LogName,
        storage: Arc<dyn Storage>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let core =
            broker::Settings { delivery_window_bytes: settings.delivery_window_bytes, seed: settings.seed };
        let store = CheckpointStore::open(storage, log, settings.storage_reserve_bytes)?;
        let (loaded, damage) = store.load(settings.state_bytes, || Broker::new(core))?;
        let (manifest, broker, runs) = match loaded {
            Some(Loaded { manifest, broker, runs }) => (Some(manifest), broker, runs),
            None => (None, Broker::new(core), Vec::new()),
        };
        // Where no checkpoint can be read, nobody knows yet what a repair may want.
        if manifest.is_some() || damage.is_none() {
            store.sweep(manifest.as_ref().map_or(Lsn::NONE, |manifest| manifest.position))?;
        }
        store.keep_ballast(runs.iter().map(|run| run.bytes).sum());
        let claimed = claim(journal, log, manifest.as_ref());
        let (epoch, claim) = match (claimed, &damage) {
            // The journal cannot know why nobody tells it where to begin.
            (Err(_), Some(damage)) if manifest.is_none() => return Err(OpenError::Damaged(damage.clone())),
            (claimed, _) => claimed?,
        };
        if manifest.is_none() {
            // The journal has everything from its first entry on: nobody wants what is left of the checkpoints.
            store.sweep(Lsn::NONE)?;
        }
        // What lies in a file of version 1 is in no run.
        let newest = manifest.clone().filter(|_| !runs.is_empty()).map(|manifest| (manifest, runs));
        let checkpoints = Checkpoints::new(store.clone(), store.next_run()?, newest);
        let mut engine = Self::around(settings, broker, checkpoints, &claim, epoch);
        engine.replay(claim, manifest.as_ref(), damage.as_ref(), epoch, now)?;
        Ok(engine)
    }

    fn around(
        settings: Settings,
        broker: Broker,
        checkpoints: Checkpoints,
        claim: &Claim,
        epoch: Epoch,
    ) -> Self {
        let tail = Lsn(claim.tail.0);
        Self {
            bodies: Bodies::new(settings.body_cache_bytes),
            settings,
            broker,
            out: Output::new(tail.next()),
            writer: None,
            durable: tail,
            appended: tail,
            began_at: Lsn::NONE,
            entry_wanted: false,
            lone: Lone::default(),
            submitting: false,
            was_busy: false,
            may_forget: false,
            forget_look_at: Timestamp(0),
            helper: None,
            flush_at: None,
            links: NumberMap::default(),
            waiting: Vec::new(),
            touched: Vec::new(),
            indebted: Vec::new(),
            starved: Vec::new(),
            reads: Reads::default(),
            loads: Loads::default(),
            parked: Parked::default(),
            checkpoints,
            recovery: Recovery { boot: epoch.0, ..Recovery::default() },
            room: RoomWatch::default(),
            failed: None,
        }
    }

    fn replay(
        &mut self,
        claim: Claim,
        manifest: Option<&Manifest>,
        damage: Option<&CheckpointDamage>,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<(), OpenError> {
        let Claim { mut reader, writer, tail, .. } = claim;
        while let Some(entry) = reader.next()? {
            let lsn = Lsn(entry.lsn.0);
            self.recovery.entries_replayed += 1;
            self.recovery.bytes_replayed += entry.bytes.len() as u64;
            let mut records = Record::read_entry(lsn, entry.bytes.clone()).peekable();
            let mut count = 0;
            while let Some(record) = records.next() {
                count += 1;
                if is_planted(Mistake::ReplaySkipsRecord) && count > 1 && records.peek().is_none() {
                    break;
                }
                let record = record?;
                if let Some(damage) = damage.filter(|_| self.broker.is_blocked_by_damage(&record)) {
                    return Err(OpenError::Damaged(damage.clone()));
                }
                self.bring(&record)?;
                self.broker.apply(record);
            }
            self.bodies.entry_appended(lsn, entry.bytes);
        }
        self.broker.evict(0, self.settings.state_bytes);
        self.writer = Some(writer);
        // Without room for a busy vhost's entries: most may never be that.
        self.out.entry.lsn = Lsn(tail.0).next();
        let position = manifest.map_or(Lsn::NONE, |manifest| manifest.position);
        let clean = tail.0 == 0 || manifest.is_some_and(|manifest| manifest.clean) && position.0 == tail.0;
        self.begin_boot(Record::Started { boot: epoch.0, time: now, clean });
        let totals = self.broker.totals();
        self.recovery.clean = clean;
        self.recovery.checkpoint_lsn = position.0;
        self.recovery.queues = totals.queues;
        self.recovery.messages = totals.messages_ready;
        Ok(())
    }

    /// Sees to it that what the record touches is in memory.
    fn bring(&mut self, record: &Record) -> Result<(), OpenError> {
        let wants = self.broker.wants_before(record);
        if wants.is_empty() {
            return Ok(());
        }
        let store = self.checkpoints.store();
        let mut runs = RunsByKey::new(&store, self.checkpoints.runs());
        for want in wants {
            let row = runs.page(&want).map_err(OpenError::Damaged)?;
            let installed = self.broker.install(&want, row);
            installed.map_err(|_| OpenError::Damaged(store.missing_row(&want.row_key())))?;
        }
        Ok(())
    }

    /// The first record of a boot. No effect leaves before it is durable: else a crash could hide that there ever was
    /// this boot, and with it what was delivered in it. It is written with the first thing that is asked: a vhost that nobody uses
    /// writes nothing.
    fn begin_boot(&mut self, started: Record) {
        started.write(&mut self.out.entry.bytes);
        self.broker.apply(started);
        self.began_at = self.out.entry.lsn;
    }
}

/// Claims the log with an epoch that no boot had. One that wrote no checkpoint left an epoch as high as ours, or
/// higher: the journal knows it.
fn claim(
    journal: &dyn Journal,
    log: &LogName,
    manifest: Option<&Manifest>,
) -> Result<(Epoch, Claim), ClaimError> {
    let mut epoch = Epoch(manifest.map_or(0, |manifest| manifest.boot) + 1);
    let mut tries = 1;
    loop {
        match journal.claim(log, epoch, manifest.map(|manifest| manifest.cursor)) {
            Ok(claim) if claim.epoch_before < epoch => return Ok((epoch, claim)),
            Ok(_repeated) if tries < CLAIM_TRIES => {
                tries += 1;
                epoch = Epoch(epoch.0 + 1);
            }
            Ok(claim) => return Ok((epoch, claim)),
            Err(ClaimError::Superseded { by, .. }) if tries < CLAIM_TRIES => {
                tries += 1;
                epoch = Epoch(by.0 + 1);
            }
            Err(error) => return Err(error),
        }
    }
}

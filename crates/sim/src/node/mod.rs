//! One process of the broker: the production engine on the production journal, and the server's ends of connections.

mod server_end;
mod tap;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::Timestamp;
use engine::{CheckpointDone, CheckpointError, CheckpointJob, Engine, Health, LoadDone, LoadJob, OpenError};
use journal::storage::MemoryStorage;
use journal::{FileJournal, LogName, Pending, Step};

pub use server_end::{Mailbox, ServerEnd, Surroundings};
pub use tap::{SharedTap, Tap, TappedJournal, lock};

use crate::line::LineId;
use crate::plan::Plan;

/// A process from its start to its end.
pub struct Node {
    /// The engine.
    pub engine: Engine,
    /// The server's ends of connections.
    pub ends: BTreeMap<LineId, ServerEnd>,
    journal: Arc<FileJournal>,
    log: LogName,
    wake: Arc<AtomicBool>,
    job: Option<CheckpointJob>,
    done: Option<Result<CheckpointDone, CheckpointError>>,
    load: Option<LoadJob>,
    loaded: Option<LoadDone>,
}

impl Node {
    /// Starts the process on what the disk holds.
    pub fn boot(
        plan: &Plan,
        disk: &MemoryStorage,
        tap: SharedTap,
        secret: u64,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let journal = Arc::new(FileJournal::stepped(Arc::new(disk.clone()), plan.file_options()));
        let log = LogName::new("vhost").expect("a plain name");
        let tapped = TappedJournal::new(journal.clone(), tap);
        let mut engine =
            Engine::open(plan.engine_settings(secret), &tapped, &log, Arc::new(disk.clone()), now)?;
        let wake = Arc::new(AtomicBool::new(true));
        let news = wake.clone();
        engine.watch(Arc::new(move || news.store(true, Ordering::Relaxed)));
        // What the journal says is compared with the broker before anybody asks for something.
        engine.drain(now);
        Ok(Self {
            engine,
            ends: BTreeMap::new(),
            journal,
            log,
            wake,
            job: None,
            done: None,
            load: None,
            loaded: None,
        })
    }

    /// Lets the engine look at what the journal has done, as long as there is something.
    pub fn pump(&mut self, now: Timestamp) {
        while self.wake.swap(false, Ordering::Relaxed) {
            self.engine.pump(now);
        }
        if self.job.is_none() {
            self.job = self.engine.take_checkpoint_job();
        }
        if self.load.is_none() {
            self.load = self.engine.take_load_job();
        }
    }

    /// What the journal has to do.
    #[must_use]
    pub fn pending(&self) -> Pending {
        self.journal.pending(&self.log)
    }

    /// Does one step of the journal's work.
    pub fn step(&mut self, step: Step) -> bool {
        self.journal.step(&self.log, step)
    }

    /// A checkpoint waits to be written.
    #[must_use]
    pub fn has_checkpoint_job(&self) -> bool {
        self.job.is_some()
    }

    /// Writes the checkpoint.
    pub fn write_checkpoint(&mut self) {
        if let Some(job) = self.job.take() {
            self.done = Some(job.run());
        }
    }

    /// Tells the engine how the checkpoint went. Whether there was one.
    pub fn end_checkpoint(&mut self) -> bool {
        let done = self.done.take();
        let was_there = done.is_some();
        done.into_iter().for_each(|done| self.engine.checkpoint_done(done));
        was_there
    }

    /// State waits to be read.
    #[must_use]
    pub fn has_load_job(&self) -> bool {
        self.load.is_some()
    }

    /// Reads it.
    pub fn load(&mut self) {
        if let Some(job) = self.load.take() {
            self.loaded = Some(job.run());
        }
    }

    /// Gives the engine what was read.
    pub fn end_load(&mut self, now: Timestamp) {
        if let Some(done) = self.loaded.take() {
            self.engine.load_done(now, done);
        }
    }

    /// Why the engine no longer serves, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self.engine.health() {
            Health::Serving => None,
            Health::Failed { reason } => Some(reason),
        }
    }

    /// Ends the process in peace: all is written, and a last checkpoint. What went wrong, if so.
    pub fn close(&mut self, now: Timestamp) -> Result<(), String> {
        self.write_checkpoint();
        self.end_checkpoint();
        self.engine.drain(now);
        while !self.engine.is_drained() {
            let has_worked = self.step(Step::Write) || self.step(Step::Sync) || self.step(Step::Spares);
            if !has_worked && self.pending().is_short {
                return Err("the disk is full, and what is left cannot be written".to_owned());
            }
            self.pump(now);
            self.write_checkpoint();
            self.end_checkpoint();
        }
        self.engine.close(now).map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("engine", &self.engine).finish_non_exhaustive()
    }
}

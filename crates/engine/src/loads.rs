//! State that is not in memory is read from the runs when the core wants it.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Timestamp, Want};
use bytes::Bytes;
use journal::storage::StorageFile;

use crate::checkpoint::{CheckpointDamage, CheckpointStore};
use crate::engine::{CLOCK, Engine};
use crate::run::Run;

/// What the core wants, and who reads it.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// Not being read yet, in the order in which it was wanted.
    wanted: Vec<Want>,
    is_under_way: bool,
    /// Something was not where it was looked for, and the runs are about to change.
    waits_for_runs: bool,
}

/// State that waits to be read. Needs no engine: run it on a thread that may block.
#[derive(Debug)]
pub struct LoadJob {
    store: CheckpointStore,
    /// The newest first.
    runs: Vec<Arc<Run>>,
    wants: Vec<Want>,
}

/// State that was read.
#[derive(Debug)]
pub struct LoadDone {
    runs: Vec<Arc<Run>>,
    rows: Vec<(Want, Result<Bytes, CheckpointDamage>)>,
}

impl LoadJob {
    /// Reads it. Blocks.
    #[must_use]
    pub fn run(self) -> LoadDone {
        let Self { store, runs, wants } = self;
        let mut rows = RowsByKey::new(&store, &runs);
        let rows = wants.into_iter().map(|want| (want, rows.find(&want.row_key()))).collect();
        LoadDone { runs, rows }
    }
}

impl Engine {
    /// State that is to be read, if there is some. Run it where blocking is fine and hand the outcome to [`Self::load_done`];
    /// there is never a second one meanwhile.
    pub fn take_load_job(&mut self) -> Option<LoadJob> {
        if self.loads.wanted.is_empty() || self.loads.is_under_way || self.loads.waits_for_runs {
            return None;
        }
        self.loads.is_under_way = true;
        let wants = std::mem::take(&mut self.loads.wanted);
        Some(LoadJob { store: self.checkpoints.store(), runs: self.checkpoints.runs().to_vec(), wants })
    }

    /// Takes what a job has read, and goes on with all who wait for it.
    pub fn load_done(&mut self, now: Timestamp, done: LoadDone) {
        self.loads.is_under_way = false;
        if self.failed.is_some() {
            return;
        }
        for (want, row) in done.rows {
            match row {
                Ok(row) => {
                    if let Err(broken) = self.broker.loaded(now, want, row, &mut self.out) {
                        self.fail_with(format!(
                            "{want:?} is not what has left memory: {broken}; please report it"
                        ));
                    }
                }
                Err(damage) => self.load_failed(want, &damage, &done.runs),
            }
        }
        self.take_output(CLOCK);
        self.send_output(now);
        self.retry_parked(now);
    }

    /// The runs are others now.
    pub(crate) fn runs_changed(&mut self) {
        self.loads.waits_for_runs = false;
    }

    pub(crate) fn take_wants(&mut self) {
        self.loads.wanted.append(&mut self.out.wants);
    }

    fn load_failed(&mut self, want: Want, damage: &CheckpointDamage, runs: &[Arc<Run>]) {
        if !self.broker.is_cold(want) {
            return;
        }
        // Runs that were merged are removed: what was in them is in another.
        let current = self.checkpoints.runs().iter().map(|run| run.number);
        let is_outdated = !current.eq(runs.iter().map(|run| run.number));
        if is_outdated || self.checkpoints.is_under_way() {
            self.loads.waits_for_runs = !is_outdated;
            return self.loads.wanted.push(want);
        }
        let CheckpointDamage { file, offset, detail, .. } = damage;
        let reason =
            format!("messages of it cannot be read, {file} at byte {offset}: {detail}; {HALT_REMEDY}");
        if let Some(queue) = self.broker.halt(want, &reason) {
            tracing::error!(queue = %queue, file, offset, detail, "a queue is halted: a page of its messages cannot be read");
        }
    }
}

/// What to do about a queue that is halted.
pub(crate) const HALT_REMEDY: &str =
    "check the disk, stop the server and look with `forebay doctor`, or purge the queue";

/// Finds rows that stand alone in runs laid over one another.
pub(crate) struct RowsByKey<'a> {
    store: &'a CheckpointStore,
    /// The newest first.
    runs: &'a [Arc<Run>],
    files: BTreeMap<u64, Arc<dyn StorageFile>>,
}

impl<'a> RowsByKey<'a> {
    pub(crate) fn new(store: &'a CheckpointStore, runs: &'a [Arc<Run>]) -> Self {
        Self { store, runs, files: BTreeMap::new() }
    }

    /// The row of this key, which is there.
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<Bytes, CheckpointDamage> {
        let mut places = self.runs.iter().filter_map(|run| Some((run, run.index.find_alone(key)?)));
        let newest = places.next().filter(|(run, at)| !run.index.entry(*at).is_gone());
        let Some((run, at)) = newest else { return Err(self.store.missing_row(key)) };
        let file = match self.files.get(&run.number) {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.store.open_run_file(run)?;
                self.files.insert(run.number, Arc::clone(&file));
                file
            }
        };
        self.store.read_row(run, &*file, at)?.value.ok_or_else(|| self.store.missing_row(key))
    }
}

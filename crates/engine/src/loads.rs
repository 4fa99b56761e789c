//! State that is not in memory is read from the runs when the core wants it.

use std::sync::Arc;

use broker::{Found, Timestamp, Want};

use crate::checkpoint::{CheckpointDamage, CheckpointStore, RunsByKey};
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
    /// The number of the last seal that is in them.
    version: u64,
    wants: Vec<Want>,
}

/// State that was read.
#[derive(Debug)]
pub struct LoadDone {
    runs: Vec<Arc<Run>>,
    version: u64,
    found: Vec<(Want, Result<Found, CheckpointDamage>)>,
}

/// Of the memory for state, what tables were answered takes one in this many parts between two checkpoints.
const ANSWERS_SHARE: u64 = 4;
/// But so many bytes at least: some ranges as they are read in one go.
const ANSWERS_BYTES_MIN: u64 = 4 * 1024 * 1024;

impl LoadJob {
    /// Reads it. Blocks.
    #[must_use]
    pub fn run(self) -> LoadDone {
        let Self { store, runs, version, wants } = self;
        let mut by_key = RunsByKey::new(&store, &runs);
        let found = wants.into_iter().map(|want| {
            let found = by_key.find(&want);
            (want, found)
        });
        LoadDone { found: found.collect(), runs, version }
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
        let (store, runs) = (self.checkpoints.store(), self.checkpoints.runs().to_vec());
        Some(LoadJob { store, runs, version: self.checkpoints.written_seal(), wants })
    }

    /// Takes what a job has read, and goes on with all who wait for it.
    pub fn load_done(&mut self, now: Timestamp, done: LoadDone) {
        self.loads.is_under_way = false;
        if self.failed.is_some() {
            return;
        }
        self.broker.evict_answers((self.settings.state_bytes / ANSWERS_SHARE).max(ANSWERS_BYTES_MIN));
        for (want, found) in done.found {
            match found {
                Ok(found) => {
                    let taken = self.broker.loaded(now, &want, done.version, found, &mut self.out);
                    if let Err(broken) = taken {
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
        if !self.broker.is_cold(&want) {
            return;
        }
        // Runs that were merged are removed: what was in them is in another.
        let current = self.checkpoints.runs().iter().map(|run| run.number);
        let is_outdated = !current.eq(runs.iter().map(|run| run.number));
        if is_outdated || self.checkpoints.is_under_way() {
            self.loads.waits_for_runs = !is_outdated;
            return self.loads.wanted.push(want);
        }
        match self.broker.halt(&want, &damage.halt_reason()) {
            Some(queue) => damage.tell_of_halt(&queue),
            // What is in a table may be about any of them.
            None if self.broker.is_cold(&want) => {
                let CheckpointDamage { file, offset, detail, .. } = damage;
                self.fail_with(format!(
                    "the checkpoint is damaged, {file} at byte {offset}: {detail}. Nothing more is confirmed; check the disk, then \
                     look with `forebay doctor DIR`"
                ));
            }
            None => {}
        }
    }
}

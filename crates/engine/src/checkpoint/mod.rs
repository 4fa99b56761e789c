//! Checkpoints: the state at a position, written down so that a restart does not begin at the beginning.
//!
//! A checkpoint is a *run* (all rows of the state, sorted) and a *manifest* that names it. Both are written once and
//! never changed; what no manifest names is swept away. The manifest is written when the journal is durable up to
//! its position, and only then is the journal trimmed. The last two manifests are kept, and the journal since the older,
//! so that a damaged newest one costs a longer replay and nothing else.

mod job;
mod manifest;
mod run_file;
mod store;

use std::ops::RangeInclusive;

use broker::{Lsn, Sealed, Timestamp};
use mistakes::{Mistake, is_planted};

use crate::engine::Engine;

pub use job::{CheckpointDone, CheckpointError, CheckpointJob};
pub(crate) use manifest::Manifest;
pub use store::CheckpointDamage;
pub(crate) use store::CheckpointStore;

/// Where the checkpoints of an engine stand.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    store: CheckpointStore,
    /// Segments that the journal had sealed at the last seal.
    sealed_segments: u64,
    /// A seal whose position is not yet durable.
    sealed: Option<PendingSeal>,
    /// A job that nobody has taken yet.
    job: Option<CheckpointJob>,
    under_way: bool,
    written: u64,
    /// The last entry that a checkpoint of this boot covers.
    written_up_to: Lsn,
}

#[derive(Debug)]
struct PendingSeal {
    position: Lsn,
    time: Timestamp,
    state: Sealed,
    /// Entries besides those of living messages whose bytes are still needed.
    also_live: Vec<Lsn>,
}

impl Checkpoints {
    pub(crate) fn new(store: CheckpointStore) -> Self {
        Self {
            store,
            sealed_segments: 0,
            sealed: None,
            job: None,
            under_way: false,
            written: 0,
            written_up_to: Lsn::NONE,
        }
    }

    /// Checkpoints written since the start.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

impl Engine {
    /// The next checkpoint to be written, if there is one. Run it where blocking is fine and hand the outcome to
    /// [`Self::checkpoint_done`]; there is never a second one meanwhile.
    pub fn take_checkpoint_job(&mut self) -> Option<CheckpointJob> {
        self.checkpoints.job.take()
    }

    /// Takes a job's outcome: the journal behind it is let go.
    ///
    /// A checkpoint that could not be written harms nothing but space and the next start: it is logged, and tried again
    /// when the next segment is full.
    pub fn checkpoint_done(&mut self, outcome: Result<CheckpointDone, CheckpointError>) {
        self.checkpoints.under_way = false;
        match outcome {
            Err(error) => {
                tracing::error!("the checkpoint was not written, the journal keeps growing: {error}")
            }
            Ok(done) => {
                self.checkpoints.written += 1;
                self.checkpoints.written_up_to = done.position;
                tracing::debug!(position = done.position.0, bytes = done.run_bytes, "checkpoint written");
                if let (Some(writer), Some(before)) = (&mut self.writer, done.trim_before) {
                    let keep: Vec<RangeInclusive<journal::Lsn>> = done
                        .live
                        .iter()
                        .filter(|_| !is_planted(Mistake::LiveSegmentTrimmed))
                        .map(|(first, last)| journal::Lsn(first.0)..=journal::Lsn(last.0))
                        .collect();
                    writer.trim(journal::Lsn(before.0), &keep);
                }
            }
        }
    }

    /// Ends the engine, which [`Self::is_drained`]: writes a last checkpoint that says so, and closes the journal.
    ///
    /// The next start then has nothing to replay, and knows exactly which messages were delivered before. Blocks for
    /// the writing of the checkpoint.
    pub fn close(&mut self, now: Timestamp) -> Result<(), CheckpointError> {
        let written = if self.failed.is_none() && self.is_drained() {
            self.seal(now);
            self.prepare_job(true);
            self.checkpoints.job.take().map_or(Ok(()), |job| job.run().map(|_| ()))
        } else {
            Ok(())
        };
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
        written
    }

    /// Begins a checkpoint when the journal has begun a new segment, or is short of room that a checkpoint may free, and makes
    /// the job when its position is durable.
    pub(crate) fn consider_checkpoint(&mut self, now: Timestamp) {
        let Some(sealed_segments) = self.writer.as_ref().map(|writer| writer.sealed_count()) else { return };
        let wants_room = self.wants_room_by_checkpoint(now);
        let busy = self.checkpoints.under_way || self.checkpoints.sealed.is_some();
        // Also when nothing durable changed: then the segment is full of spilled bodies, and only a trim frees it.
        if !busy && (wants_room || sealed_segments > self.checkpoints.sealed_segments) {
            self.checkpoints.sealed_segments = sealed_segments;
            if !self.out.entry.bytes.is_empty() {
                self.append();
            }
            self.seal(now);
        }
        let is_safe =
            |sealed: &PendingSeal| sealed.position <= self.durable || is_planted(Mistake::ManifestBeforeSync);
        if self.checkpoints.sealed.as_ref().is_some_and(is_safe) {
            self.prepare_job(false);
        }
    }

    /// Whether a checkpoint would say more than the last one.
    pub(crate) fn has_news_for_checkpoint(&self) -> bool {
        self.appended > self.checkpoints.written_up_to || !self.out.entry.bytes.is_empty()
    }

    /// Takes the state at the last entry; nothing may be in the open one.
    fn seal(&mut self, now: Timestamp) {
        debug_assert!(self.out.entry.bytes.is_empty());
        let also_live = self.bodies.blocks.spilled_entries().chain(self.entries_in_use()).collect();
        // Each run stands alone, so it has to have everything.
        self.broker.forget_seals();
        let state = self.broker.seal();
        self.checkpoints.sealed = Some(PendingSeal { position: self.appended, time: now, state, also_live });
    }

    fn prepare_job(&mut self, clean: bool) {
        let (Some(sealed), Some(writer)) = (self.checkpoints.sealed.take(), self.writer.as_ref()) else {
            return;
        };
        let manifest = Manifest {
            position: sealed.position,
            cursor: writer.cursor(journal::Lsn(sealed.position.0)),
            time: sealed.time,
            boot: self.broker.boot(),
            clean,
            run_bytes: 0,
        };
        self.checkpoints.under_way = true;
        self.checkpoints.job = Some(CheckpointJob::new(
            self.checkpoints.store.clone(),
            manifest,
            sealed.state,
            sealed.also_live,
        ));
    }
}

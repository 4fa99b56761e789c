//! Checkpoints: the state at a position, written down so that a restart does not begin at the beginning.
//!
//! What has changed since the checkpoint before is *sealed*, and written as a *run*: sorted rows. Runs laid over one another are the
//! state, and a *manifest* names them. All are written once and never changed; what no manifest names is swept away. The manifest is
//! written when the journal is durable up to its position, and only then is the journal trimmed. Runs are merged so that there are
//! few of them. The last two manifests are kept, and the journal since the older, so that a damaged newest one costs a
//! longer replay and nothing else.

mod by_key;
mod compacting;
mod damage;
mod dead_rows;
mod job;
mod live;
mod load;
mod manifest;
mod merging;
mod store;

use std::ops::RangeInclusive;
use std::sync::Arc;

use broker::{LeftRows, Lsn, Sealed, Timestamp};
use journal::SegmentInfo;
use mistakes::{Mistake, is_planted};

use crate::engine::Engine;
use crate::pins::PinsJob;
use crate::run::Run;
pub(crate) use by_key::RunsByKey;
pub(crate) use compacting::Places;
use compacting::{Candidates, Found, LastLook, Signs};

pub use damage::CheckpointDamage;
pub(crate) use damage::HALT_REMEDY;
pub use job::{CheckpointDone, CheckpointError, CheckpointJob};
use job::{Space, Work};
pub(crate) use load::{Bring, Loaded};
pub(crate) use manifest::{Manifest, RunName, StateFiles};
pub(crate) use store::CheckpointStore;

/// Where the checkpoints of an engine stand.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    store: CheckpointStore,
    /// The runs that the newest manifest names, the newest first.
    runs: Vec<Arc<Run>>,
    /// The newest manifest, if it is of this version.
    manifest: Option<Manifest>,
    /// So many runs, from the newest on, want to be merged.
    to_merge: Option<usize>,
    /// The number of the next run.
    next_run: u64,
    /// Segments that the journal had sealed when a checkpoint was last begun.
    sealed_segments: u64,
    /// A seal that no manifest covers: it is not yet durable, is being written, or could not be written.
    sealed: Option<Arc<PendingSeal>>,
    /// It could not be written, and waits for the next try.
    has_failed: bool,
    /// A job that nobody has taken yet.
    job: Option<CheckpointJob>,
    under_way: bool,
    written: u64,
    /// The last entry that a checkpoint of this boot covers.
    written_up_to: Lsn,
    /// The last seal of this boot that is in a run; 0 for none.
    written_seal: u64,
    /// Old entries that are needed whole, beside what the rows of the newest checkpoint name; unknown before the first of this boot.
    beside: Option<Arc<[Lsn]>>,
    last_look: LastLook,
    /// State that has left memory: the next job frees it.
    left: LeftRows,
}

/// What has changed up to a position.
#[derive(Debug)]
struct PendingSeal {
    position: Lsn,
    time: Timestamp,
    state: Sealed,
    /// Entries besides those of living messages whose bytes are still needed.
    also_live: Vec<Lsn>,
}

impl Checkpoints {
    /// Goes on where the newest checkpoint ends: with its manifest and its runs.
    pub(crate) fn new(
        store: CheckpointStore,
        next_run: u64,
        newest: Option<(Manifest, Vec<Arc<Run>>)>,
    ) -> Self {
        let (manifest, runs) = newest.unzip();
        let runs = runs.unwrap_or_default();
        Self {
            store,
            to_merge: merging::due(&runs),
            runs,
            manifest,
            next_run,
            sealed_segments: 0,
            sealed: None,
            has_failed: false,
            job: None,
            under_way: false,
            written: 0,
            written_up_to: Lsn::NONE,
            written_seal: 0,
            beside: None,
            last_look: LastLook::default(),
            left: LeftRows::default(),
        }
    }

    /// Checkpoints written since the start.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The number of the last seal that is in a run.
    pub(crate) fn written_seal(&self) -> u64 {
        self.written_seal
    }

    /// Frees what no job has come to free.
    pub(crate) fn rest(&mut self) {
        self.left = LeftRows::default();
    }

    /// The runs that the newest manifest names, the newest first.
    pub(crate) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    pub(crate) fn store(&self) -> CheckpointStore {
        self.store.clone()
    }

    /// Whether a job is being done that may change the runs.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way
    }
}

impl Engine {
    /// The next checkpoint to be written, if there is one. Run it where blocking is fine and hand the outcome to
    /// [`Self::checkpoint_done`]; there is never a second one meanwhile.
    pub fn take_checkpoint_job(&mut self) -> Option<CheckpointJob> {
        self.checkpoints.job.take()
    }

    /// Takes a job's outcome: the journal behind a checkpoint is let go.
    ///
    /// A checkpoint that could not be written harms nothing but space and the next start: it is logged, and tried again
    /// when the next segment is full.
    pub fn checkpoint_done(&mut self, outcome: Result<CheckpointDone, CheckpointError>) {
        self.runs_changed();
        let checkpoints = &mut self.checkpoints;
        checkpoints.under_way = false;
        match outcome {
            Err(error) => {
                checkpoints.has_failed = true;
                match &checkpoints.sealed {
                    Some(_) => {
                        tracing::error!("the checkpoint was not written, the journal keeps growing: {error}")
                    }
                    None => {
                        tracing::warn!("what takes more room than it has to was not made smaller: {error}")
                    }
                }
            }
            Ok(CheckpointDone { position, run_bytes, runs, manifest, space, found }) => {
                checkpoints.to_merge = merging::due(&runs);
                (checkpoints.runs, checkpoints.manifest) = (runs, Some(manifest));
                if let Some(Found { compaction, short_bytes }) = found {
                    checkpoints.last_look.found(short_bytes);
                    if let (Some(writer), Some(compaction)) = (&mut self.writer, compaction) {
                        writer.compact(compaction);
                    }
                }
                let Some(space) = space else { return };
                let sealed = checkpoints.sealed.take();
                checkpoints.written_seal = sealed.map_or(0, |sealed| sealed.state.number());
                checkpoints.written += 1;
                checkpoints.written_up_to = position;
                tracing::debug!(position = position.0, bytes = run_bytes, "checkpoint written");
                self.let_go(space);
                self.broker.written(self.checkpoints.written_seal);
                self.broker.evict(self.checkpoints.written_seal, self.settings.state_bytes);
                self.checkpoints.left.append(self.broker.take_left());
            }
        }
    }

    fn let_go(&mut self, Space { trim_before, live, beside }: Space) {
        // Of a checkpoint that nothing is trimmed behind, it says nothing.
        self.checkpoints.beside = trim_before.map(|_| beside);
        let (Some(writer), Some(before)) = (&mut self.writer, trim_before) else { return };
        let keep: Vec<RangeInclusive<journal::Lsn>> = live
            .iter()
            .filter(|_| !is_planted(Mistake::LiveSegmentTrimmed))
            .map(|(first, last)| journal::Lsn(first.0)..=journal::Lsn(last.0))
            .collect();
        writer.trim(journal::Lsn(before.0), &keep);
    }

    /// Ends the engine, which [`Self::is_drained`]: writes a last checkpoint that says so, and closes the journal.
    ///
    /// The next start then has nothing to replay, and knows exactly which messages were delivered before. Blocks for
    /// the writing of the checkpoint.
    pub fn close(&mut self, now: Timestamp) -> Result<(), CheckpointError> {
        let written = if self.failed.is_none() && self.is_drained() { self.write_last(now) } else { Ok(()) };
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
        written
    }

    fn write_last(&mut self, now: Timestamp) -> Result<(), CheckpointError> {
        // What an earlier seal has given out, no later one does.
        if self.checkpoints.sealed.is_some() {
            self.run_flush(false)?;
        }
        self.seal(now);
        self.run_flush(true)
    }

    fn run_flush(&mut self, clean: bool) -> Result<(), CheckpointError> {
        let Some(job) = self.flush_job(clean) else { return Ok(()) };
        let mut done = job.run()?;
        // The journal is about to close: the next boot frees what may go.
        done.space.iter_mut().for_each(|space| space.trim_before = None);
        self.checkpoint_done(Ok(done));
        Ok(())
    }

    /// Begins a checkpoint when the journal has begun a new segment, or is short of room that a checkpoint may free, and makes
    /// the job when its position is durable. Merges runs, and has the journal compacted, when there is nothing else to do.
    pub(crate) fn consider_checkpoint(&mut self, now: Timestamp) {
        let Some(sealed_segments) = self.writer.as_ref().map(|writer| writer.sealed_count()) else { return };
        let wants_room = self.wants_room_by_checkpoint(now);
        if self.checkpoints.under_way {
            return;
        }
        // Also when nothing durable changed: then the segment is full of spilled bodies, and only a trim frees it.
        if wants_room || sealed_segments > self.checkpoints.sealed_segments {
            self.checkpoints.sealed_segments = sealed_segments;
            self.checkpoints.has_failed = false;
            if self.checkpoints.sealed.is_none() {
                if !self.out.entry.bytes.is_empty() {
                    self.append();
                }
                self.seal(now);
            }
        }
        let is_safe = |sealed: &Arc<PendingSeal>| {
            sealed.position <= self.durable || is_planted(Mistake::ManifestBeforeSync)
        };
        let job = match &self.checkpoints.sealed {
            Some(sealed) if is_safe(sealed) && !self.checkpoints.has_failed => self.flush_job(false),
            Some(_) => None,
            None => self.merge_job().or_else(|| self.compact_job()),
        };
        if job.is_some() {
            self.checkpoints.under_way = true;
            self.checkpoints.job = job;
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
        let state = self.broker.seal();
        let sealed = PendingSeal { position: self.appended, time: now, state, also_live };
        self.checkpoints.sealed = Some(Arc::new(sealed));
    }

    fn flush_job(&mut self, clean: bool) -> Option<CheckpointJob> {
        let (sealed, writer) = (Arc::clone(self.checkpoints.sealed.as_ref()?), self.writer.as_ref()?);
        let manifest = Manifest {
            position: sealed.position,
            cursor: writer.cursor(journal::Lsn(sealed.position.0)),
            time: sealed.time,
            boot: self.broker.boot(),
            clean,
            state: StateFiles::Runs(Vec::new()),
        };
        let segments = writer.segments();
        Some(self.checkpoints.job(manifest, Work::Flush { sealed, segments }))
    }

    fn merge_job(&mut self) -> Option<CheckpointJob> {
        // It needs as much room as it will free.
        let is_fine = !self.checkpoints.has_failed && !self.is_low_on_room();
        let count = self.checkpoints.to_merge.filter(|_| is_fine)?;
        let manifest = self.checkpoints.manifest.clone()?;
        Some(self.checkpoints.job(manifest, Work::Merge { count }))
    }

    fn compact_job(&mut self) -> Option<CheckpointJob> {
        let (writer, checkpoints) = (self.writer.as_ref()?, &mut self.checkpoints);
        let beside = checkpoints.beside.clone().filter(|_| !checkpoints.has_failed)?;
        let (written, compacted) = (checkpoints.written, writer.compacted_count());
        if !checkpoints.last_look.has_news(written, compacted) {
            return None;
        }
        let files = writer.segments();
        let segment_bytes = files.last().map_or(0, |segment| segment.bytes);
        let candidates = Candidates {
            files: files.into_iter().filter(|file| file.is_compactable).collect(),
            beside,
            slack_bytes: self.settings.compaction_slack_bytes,
            entry_bytes: self.settings.entry_bytes_target as u64,
            is_low: self.room.is_low,
        };
        if !candidates.are_many() {
            return None;
        }
        let signs = Signs {
            written,
            compacted,
            file_bytes: candidates.bytes(),
            waiting_bytes: self.broker.totals().messages_bytes(),
            row_bytes: checkpoints.runs.iter().map(|run| run.bytes).sum(),
            segment_bytes,
        };
        if !checkpoints.last_look.is_due(signs) {
            return None;
        }
        let manifest = checkpoints.manifest.clone()?;
        Some(self.checkpoints.job(manifest, Work::Compact(candidates)))
    }
}

impl Checkpoints {
    /// The question which of the journal's files are kept for what. `None` without a checkpoint.
    pub(crate) fn pins_job(&self, files: Vec<SegmentInfo>) -> Option<PinsJob> {
        Some(PinsJob {
            store: self.store.clone(),
            runs: self.runs.clone(),
            as_of: self.manifest.as_ref()?.time,
            files,
            beside: self.beside.clone().unwrap_or_default(),
        })
    }

    fn job(&mut self, manifest: Manifest, work: Work) -> CheckpointJob {
        // Also of what comes to nothing: a file may be left of it.
        self.next_run += 1;
        let (store, runs) = (self.store.clone(), self.runs.clone());
        let left = std::mem::take(&mut self.left);
        CheckpointJob { store, number: self.next_run - 1, runs, manifest, work, left }
    }
}

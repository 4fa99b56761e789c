//! The writing of a checkpoint, away from the engine.

use std::io;
use std::sync::Arc;

use broker::{LeftRows, Lsn};
use journal::SegmentInfo;

use super::PendingSeal;
use super::compacting::{Candidates, Found};
use super::dead_rows::DeadRows;
use super::live::{BlockPlace, live_entries};
use super::manifest::{Manifest, RunName, StateFiles};
use super::store::CheckpointStore;
use crate::run::Run;

/// Work on the checkpoints of an engine that waits to be done. Needs no engine: run it on a thread that may block.
#[derive(Debug)]
pub struct CheckpointJob {
    pub(super) store: CheckpointStore,
    /// The number of the run to be written.
    pub(super) number: u64,
    /// The runs that there are, the newest first.
    pub(super) runs: Vec<Arc<Run>>,
    /// The manifest to be written, but for its runs.
    pub(super) manifest: Manifest,
    pub(super) work: Work,
    /// State that has left memory, to be freed where nobody waits for it.
    pub(super) left: LeftRows,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Write down what has changed.
    Flush {
        sealed: Arc<PendingSeal>,
        /// Those of the journal, as they are now.
        segments: Vec<SegmentInfo>,
    },
    /// Make one of so many runs, from the newest on.
    Merge { count: usize },
    /// Look what the journal's old files are kept for.
    Compact(Candidates),
}

/// Work on checkpoints that is done.
#[derive(Debug)]
pub struct CheckpointDone {
    /// The last entry that the newest checkpoint covers.
    pub position: Lsn,
    /// Bytes of the run that was written.
    pub run_bytes: u64,
    /// The runs that there are now.
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) manifest: Manifest,
    /// What the journal may let go, if a new checkpoint was written.
    pub(super) space: Option<Space>,
    /// What the journal's old files are kept for, if that was looked at.
    pub(super) found: Option<Found>,
}

/// What the journal is still needed for.
#[derive(Debug)]
pub(super) struct Space {
    /// Entries below this one are needed only where [`Self::live`] says so. `None` while there is no older
    /// checkpoint to fall back on.
    pub(super) trim_before: Option<Lsn>,
    /// Entries that hold the body of a living message, as ascending inclusive ranges.
    pub(super) live: Vec<(Lsn, Lsn)>,
    /// Entries that are needed whole, beside what rows name: ascending.
    pub(super) beside: Arc<[Lsn]>,
}

/// A checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write checkpoint {file}: {source}")]
pub struct CheckpointError {
    /// The file.
    pub file: String,
    /// What the file layer says.
    pub source: io::Error,
}

impl CheckpointError {
    /// Whether more room is all that is wanted.
    fn is_want_of_room(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl CheckpointJob {
    /// Writes a run, then the manifest that names it, then removes what the last two manifests do not name; or looks what the
    /// journal can let go of. Blocks.
    pub fn run(self) -> Result<CheckpointDone, CheckpointError> {
        let Self { store, number, runs, manifest, work, left } = self;
        drop(left);
        match work {
            Work::Flush { sealed, segments } => flush(&store, number, runs, manifest, &sealed, &segments),
            Work::Merge { count } => merge(&store, number, runs, manifest, count),
            Work::Compact(candidates) => {
                let found = Some(candidates.look(&store, &runs)?);
                let position = manifest.position;
                Ok(CheckpointDone { position, run_bytes: 0, runs, manifest, space: None, found })
            }
        }
    }
}

/// On a full disk the ballast makes room for the run and the manifest.
fn flush(
    store: &CheckpointStore,
    number: u64,
    mut runs: Vec<Arc<Run>>,
    mut manifest: Manifest,
    sealed: &PendingSeal,
    segments: &[SegmentInfo],
) -> Result<CheckpointDone, CheckpointError> {
    let mut write = || {
        let run = store.write_run(number, &sealed.state)?;
        manifest.state = named([&run].into_iter().chain(&runs));
        Ok((store.write_manifest(&manifest)?, run))
    };
    let (older, run) = match write() {
        Err(error) if CheckpointError::is_want_of_room(&error) && store.drop_ballast()? => write(),
        other => other,
    }?;
    // The next may have to write all of the state again.
    store.keep_ballast(run.bytes + runs.iter().map(|run| run.bytes).sum::<u64>());
    tracing::debug!(position = manifest.position.0, rows = run.rows, bytes = run.bytes, "run written");
    let run_bytes = run.bytes;
    runs.insert(0, run);
    let beside = sealed.state.entries_beside_rows().chain(sealed.also_live.iter().copied());
    // A compacted file stands between no two entries of its own.
    let segments: Vec<SegmentInfo> =
        segments.iter().filter(|segment| segment.compacted.is_none()).cloned().collect();
    let live = live_entries(&runs, &segments, beside, |place| entries_in(store, place));
    let trim_before = older.map(Lsn::next);
    let space = Some(Space { trim_before, live, beside: beside_rows(sealed, trim_before) });
    Ok(CheckpointDone { position: manifest.position, run_bytes, runs, manifest, space, found: None })
}

fn merge(
    store: &CheckpointStore,
    number: u64,
    mut runs: Vec<Arc<Run>>,
    mut manifest: Manifest,
    count: usize,
) -> Result<CheckpointDone, CheckpointError> {
    let run = store.merge(number, &runs[..count], DeadRows { is_oldest: count == runs.len() })?;
    tracing::debug!(runs = count, rows = run.rows, bytes = run.bytes, "runs merged");
    let run_bytes = run.bytes;
    runs.splice(..count, [run]);
    manifest.state = named(&runs);
    store.write_manifest(&manifest)?;
    Ok(CheckpointDone { position: manifest.position, run_bytes, runs, manifest, space: None, found: None })
}

fn named<'a>(runs: impl IntoIterator<Item = &'a Arc<Run>>) -> StateFiles {
    StateFiles::Runs(runs.into_iter().map(|run| RunName::of(run)).collect())
}

/// The old entries of which no row says what of them is needed.
fn beside_rows(sealed: &PendingSeal, trim_before: Option<Lsn>) -> Arc<[Lsn]> {
    let entries = sealed.state.entries_of_transient().chain(sealed.also_live.iter().copied());
    let mut entries: Vec<Lsn> =
        entries.filter(|lsn| trim_before.is_some_and(|before| *lsn < before)).collect();
    entries.sort_unstable();
    entries.dedup();
    entries.into()
}

/// The entries that the rows of a block name; nothing if it can't be read, which is for those to tell who need it.
fn entries_in(store: &CheckpointStore, place: BlockPlace<'_>) -> Option<Vec<Lsn>> {
    let file = store.open_run_file(place.run);
    let rows = file.and_then(|file| store.read_block(place.run, &*file, place.at));
    let rows =
        rows.inspect_err(|damage| tracing::warn!(file = damage.file, damage.offset, damage.detail)).ok()?;
    let mut entries = Vec::new();
    for (key, value) in rows {
        entries.extend(value.map_or(Ok(Vec::new()), |value| broker::entries_in_row(&key, value)).ok()?);
    }
    Some(entries)
}

//! The writing of a checkpoint, away from the engine.

use std::io;

use broker::{Lsn, Sealed};

use super::manifest::Manifest;
use super::store::CheckpointStore;

/// A checkpoint that waits to be written. Needs no engine: run it on a thread that may block.
#[derive(Debug)]
pub struct CheckpointJob {
    store: CheckpointStore,
    manifest: Manifest,
    state: Sealed,
    also_live: Vec<Lsn>,
}

/// A checkpoint that is on disk.
#[derive(Debug)]
pub struct CheckpointDone {
    /// The last entry that it covers.
    pub position: Lsn,
    /// Bytes of its run.
    pub run_bytes: u64,
    /// Entries below this one are needed only where [`Self::live`] says so. `None` while there is no older
    /// checkpoint to fall back on.
    pub(crate) trim_before: Option<Lsn>,
    /// Entries that hold the body of a living message, as ascending inclusive ranges.
    pub(crate) live: Vec<(Lsn, Lsn)>,
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
    pub(super) fn new(
        store: CheckpointStore,
        manifest: Manifest,
        state: Sealed,
        also_live: Vec<Lsn>,
    ) -> Self {
        Self { store, manifest, state, also_live }
    }

    /// Writes the run, then the manifest, then removes what is older than the one before. Blocks. On a full disk the ballast
    /// makes room for them.
    pub fn run(mut self) -> Result<CheckpointDone, CheckpointError> {
        let older = match self.write() {
            Err(error) if error.is_want_of_room() && self.store.drop_ballast()? => self.write(),
            other => other,
        }?;
        self.store.keep_ballast(self.manifest.run_bytes);
        Ok(CheckpointDone {
            position: self.manifest.position,
            run_bytes: self.manifest.run_bytes,
            trim_before: older.map(Lsn::next),
            live: merge(self.state.live_entries(), self.also_live),
        })
    }

    /// The position of the checkpoint before, if there is one.
    fn write(&mut self) -> Result<Option<Lsn>, CheckpointError> {
        let position = self.manifest.position;
        let (pages, pages_dirty) = self.state.page_counts();
        self.manifest.run_bytes = self.store.write_run(&self.manifest, &self.state)?;
        tracing::debug!(position = position.0, pages, pages_dirty, "run written");
        self.store.write_manifest(&self.manifest)
    }
}

/// Adds single entries to ascending ranges.
fn merge(mut ranges: Vec<(Lsn, Lsn)>, singles: Vec<Lsn>) -> Vec<(Lsn, Lsn)> {
    ranges.extend(singles.into_iter().map(|lsn| (lsn, lsn)));
    ranges.sort_unstable();
    let mut merged: Vec<(Lsn, Lsn)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.next() => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_entries_join_the_ranges() {
        let lsn = |pair: (u64, u64)| (Lsn(pair.0), Lsn(pair.1));
        let merged = merge(vec![lsn((2, 4)), lsn((8, 9))], vec![Lsn(5), Lsn(1), Lsn(20), Lsn(8), Lsn(20)]);
        assert_eq!(merged, [lsn((1, 5)), lsn((8, 9)), lsn((20, 20))]);
    }
}

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
        let (older, mut live) = match self.write() {
            Err(error) if error.is_want_of_room() && self.store.drop_ballast()? => self.write(),
            other => other,
        }?;
        live.extend(self.state.entries_beside_rows().chain(self.also_live));
        let live = ranges(live);
        self.store.keep_ballast(self.manifest.run_bytes);
        Ok(CheckpointDone {
            position: self.manifest.position,
            run_bytes: self.manifest.run_bytes,
            trim_before: older.map(Lsn::next),
            live,
        })
    }

    /// The position of the checkpoint before, if there is one, and the entries that the run's rows name.
    fn write(&mut self) -> Result<(Option<Lsn>, Vec<Lsn>), CheckpointError> {
        let (run_bytes, live) = self.store.write_run(&self.manifest, &self.state)?;
        self.manifest.run_bytes = run_bytes;
        Ok((self.store.write_manifest(&self.manifest)?, live))
    }
}

/// Entries as ascending inclusive ranges.
fn ranges(mut entries: Vec<Lsn>) -> Vec<(Lsn, Lsn)> {
    entries.sort_unstable();
    entries.dedup();
    entries.chunk_by(|one, next| one.next() == *next).map(|run| (run[0], run[run.len() - 1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_ranges() {
        let lsn = |pair: (u64, u64)| (Lsn(pair.0), Lsn(pair.1));
        let entries = [2, 3, 8, 9, 5, 1, 20, 8, 20, 4].map(Lsn).to_vec();
        assert_eq!(ranges(entries), [lsn((1, 5)), lsn((8, 9)), lsn((20, 20))]);
    }
}

//! The folder of a vhost's checkpoints.

mod ballast;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::Arc;

use broker::{BodyInRow, Lsn, Sealed};
use bytes::{Bytes, BytesMut};
use journal::LogName;
use journal::storage::{Storage, StorageFile};

use self::ballast::{BALLAST, BALLAST_SHARE};
use super::damage::CheckpointDamage;
use super::dead_rows::DeadRows;
use super::job::CheckpointError;
use super::manifest::{Manifest, RunName, StateFiles};
use crate::run::{Merged, Row, RowToWrite, Run, RunDamage, RunFile, RunWriter};

/// Reads and writes the files of one vhost's checkpoints: `checkpoints/<log>/rows-<number>` for the runs and
/// `manifest-<position>`. Version 1 had runs named `run-<position>` and, at a clean end, `last-<position>`.
#[derive(Clone)]
pub(crate) struct CheckpointStore {
    storage: Arc<dyn Storage>,
    folder: String,
    /// The size of the ballast while checkpoints are small; 0 for none.
    ballast_bytes_min: u64,
}

const ROOT: &str = "checkpoints";
const RUN: &str = "rows-";
pub(super) const RUN_1: &str = "run-";
pub(super) const LAST_RUN_1: &str = "last-";
const MANIFEST: &str = "manifest-";
const TEMPORARY: &str = ".tmp";
/// Manifests that are kept: the newest and one to fall back on.
const KEPT: usize = 2;
/// A run is synced each time that so much of it is written: a flood of it would delay the syncs of the journal.
const SYNC_EVERY_BYTES: u64 = 1024 * 1024;

/// Writes a run to a file.
type FileWriter<'a> = RunWriter<&'a mut dyn FnMut(&[u8]) -> io::Result<()>>;

impl CheckpointStore {
    /// Opens the folder, and makes it if it is not there.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        log: &LogName,
        reserve_bytes: u64,
    ) -> Result<Self, CheckpointError> {
        let folder = format!("{ROOT}/{}", log.as_str());
        let store = Self { storage, folder, ballast_bytes_min: reserve_bytes / BALLAST_SHARE };
        for (folder, parent) in [(ROOT, ""), (store.folder.as_str(), ROOT)] {
            if !store.check(folder, store.storage.exists(folder))? {
                store.check(folder, store.storage.create_directory(folder))?;
                store.check(parent, store.storage.sync_directory(parent))?;
            }
        }
        Ok(store)
    }

    /// The folder as it is; nothing is made. `None` if there is none.
    pub(crate) fn look(storage: Arc<dyn Storage>, log: &LogName) -> Result<Option<Self>, CheckpointError> {
        let store = Self { storage, folder: format!("{ROOT}/{}", log.as_str()), ballast_bytes_min: 0 };
        let exists = store.check(&store.folder, store.storage.exists(&store.folder))?;
        Ok(exists.then_some(store))
    }

    /// The folders of all checkpoints: one for each log.
    pub(crate) fn logs(storage: &dyn Storage) -> io::Result<Vec<String>> {
        if storage.exists(ROOT)? { storage.list(ROOT) } else { Ok(Vec::new()) }
    }

    /// Removes what no manifest names: the rests of a checkpoint that a crash cut short. And manifests above `loaded`,
    /// which are damaged: they must not count as ones to fall back on.
    pub(crate) fn sweep(&self, loaded: Lsn) -> Result<(), CheckpointError> {
        for position in self.manifests()?.into_iter().filter(|position| *position > loaded) {
            self.remove(&name(MANIFEST, position.0))?;
        }
        self.remove_unnamed()
    }

    /// A number that no run has.
    pub(crate) fn next_run(&self) -> Result<u64, CheckpointError> {
        let number = |file: &String| u64::from_str_radix(file.strip_prefix(RUN)?, 16).ok();
        Ok(self.files()?.iter().filter_map(number).max().unwrap_or(0) + 1)
    }

    /// Writes the rows of a seal as a run.
    pub(crate) fn write_run(&self, number: u64, state: &Sealed) -> Result<Arc<Run>, CheckpointError> {
        self.write_run_by(number, |writer| {
            let mut result = Ok(());
            state.rows(|row| {
                if result.is_ok() {
                    let broker::Row { key, value, entries, is_alone } = row;
                    result = writer.row(RowToWrite { key, value, entries, is_alone });
                }
            });
            result
        })
    }

    /// Writes the rows of several runs, the newest first, as one, but for those that are dead.
    pub(super) fn merge(
        &self,
        number: u64,
        runs: &[Arc<Run>],
        dead: DeadRows,
    ) -> Result<Arc<Run>, CheckpointError> {
        let error = |damage: RunDamage| io::Error::new(io::ErrorKind::InvalidData, damage.to_string());
        self.write_run_by(number, |writer| {
            let mut merged = self.merged(runs)?.map_err(error)?;
            while let Some(row) = merged.next().map_err(error)? {
                if !dead.is_dead(&row) {
                    writer.row(RowToWrite { entries: entries_of(&row), ..RowToWrite::from(&row) })?;
                }
            }
            Ok(())
        })
    }

    /// Calls back for each body that the newest rows name: where it lies in the journal.
    pub(crate) fn bodies(
        &self,
        runs: &[Arc<Run>],
        mut body: impl FnMut(&BodyInRow),
    ) -> Result<(), CheckpointError> {
        let error = |damage: String| CheckpointError {
            file: self.folder.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, damage),
        };
        let merged = self.check(&self.folder, self.merged(runs))?;
        let mut merged = merged.map_err(|damage| error(damage.to_string()))?;
        while let Some(Row { key, value, .. }) = merged.next().map_err(|damage| error(damage.to_string()))? {
            let Some(value) = value else { continue };
            let bodies = broker::bodies_in_row(&key, value).map_err(|broken| error(broken.to_string()))?;
            bodies.iter().for_each(&mut body);
        }
        Ok(())
    }

    /// Writes a manifest, removes all but the last two and what neither of them names, and says which position the older of
    /// them has.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<Option<Lsn>, CheckpointError> {
        let path = self.manifest_path(manifest.position);
        self.check(&path, self.replace(&path, manifest.to_text().as_bytes()))?;
        // It is written: what cannot be removed now is removed later.
        Ok(self.let_go_of_older().unwrap_or_else(|error| {
            tracing::warn!("what an old checkpoint has left is not removed yet: {error}");
            None
        }))
    }

    /// Removes all manifests but the last two, and what neither of them names. The position of the older of them.
    fn let_go_of_older(&self) -> Result<Option<Lsn>, CheckpointError> {
        let manifests = self.manifests()?;
        let (obsolete, kept) = manifests.split_at(manifests.len().saturating_sub(KEPT));
        // The manifests first: a run without a manifest is swept, a manifest without its run is damage.
        for position in obsolete {
            self.remove(&name(MANIFEST, position.0))?;
        }
        self.remove_unnamed()?;
        Ok((kept.len() == KEPT).then(|| kept[0]))
    }

    /// A manifest, or what is wrong with it.
    pub(crate) fn read_manifest(&self, position: Lsn) -> Result<Manifest, CheckpointDamage> {
        let path = self.manifest_path(position);
        let content = self.read(&path).map_err(|error| CheckpointDamage::unreadable(&path, &error))?;
        self.manifest_of(position, &content)
    }

    pub(super) fn manifest_of(&self, position: Lsn, content: &[u8]) -> Result<Manifest, CheckpointDamage> {
        let path = self.manifest_path(position);
        let text = std::str::from_utf8(content).unwrap_or_default();
        if Manifest::is_of_another_version(text) {
            return Err(CheckpointDamage::newer(&path));
        }
        let manifest = Manifest::from_text(text).filter(|manifest| manifest.position == position);
        manifest.ok_or_else(|| CheckpointDamage::new(&path, 0, "it is not a whole manifest"))
    }

    /// The rows of this block of a run.
    pub(crate) fn read_block(
        &self,
        run: &Run,
        file: &dyn StorageFile,
        at: usize,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>, CheckpointDamage> {
        run.rows_at(file, at).map_err(|damage| self.damage(damage))
    }

    /// What this block of a run says of the row of this key.
    pub(crate) fn look_up(
        &self,
        run: &Run,
        file: &dyn StorageFile,
        at: usize,
        key: &[u8],
    ) -> Result<Option<Option<Bytes>>, CheckpointDamage> {
        run.look_up(file, at, key).map_err(|damage| self.damage(damage))
    }

    /// A row that has to be there is in no run.
    pub(crate) fn missing_row(&self, key: &[u8]) -> CheckpointDamage {
        let rows = broker::describe_rows(key, key);
        CheckpointDamage::new(&self.folder, 0, &format!("no run has {rows}"))
    }

    pub(crate) fn open_run_file(&self, run: &Run) -> Result<Arc<dyn StorageFile>, CheckpointDamage> {
        let path = self.run_path(run.number);
        self.storage.open(&path).map_err(|error| CheckpointDamage::unreadable(&path, &error))
    }

    pub(super) fn open_run(&self, run_name: &RunName) -> Result<Arc<Run>, CheckpointDamage> {
        let path = self.run_path(run_name.number);
        let file = self.storage.open(&path).map_err(|error| CheckpointDamage::unreadable(&path, &error))?;
        let run = Run::open(run_name.number, &*file).map_err(|damage| self.damage(damage))?;
        match RunName::of(&run) == *run_name {
            true => Ok(run),
            false => Err(CheckpointDamage::new(&path, 0, "it is not the run that its manifest names")),
        }
    }

    /// What is left of a run that cannot be opened: all of it, if only its filters are damaged. Nothing if the file is gone or
    /// cannot be read.
    pub(super) fn scan_run(&self, run_name: &RunName) -> Option<Arc<Run>> {
        let file = self.storage.open(&self.run_path(run_name.number)).ok()?;
        match Run::open_without_filters(run_name.number, &*file) {
            Ok(run) if RunName::of(&run) == *run_name => Some(run),
            _ => Run::scan(run_name.number, &*file).ok(),
        }
    }

    pub(super) fn merged(&self, runs: &[Arc<Run>]) -> io::Result<Result<Merged, RunDamage>> {
        Ok(Merged::new(self.with_files(runs)?))
    }

    pub(super) fn with_files(&self, runs: &[Arc<Run>]) -> io::Result<Vec<RunFile>> {
        let open = |run: &Arc<Run>| Ok((Arc::clone(run), self.storage.open(&self.run_path(run.number))?));
        runs.iter().map(open).collect()
    }

    pub(super) fn damage(&self, damage: RunDamage) -> CheckpointDamage {
        let RunDamage { number, offset, detail, keys } = damage;
        let rows = keys.map(|(first, last)| broker::describe_rows(&first, &last));
        CheckpointDamage { rows, ..CheckpointDamage::new(&self.run_path(number), offset, &detail) }
    }

    /// Removes all files but those of the checkpoint at this position.
    pub(crate) fn keep_only(&self, position: Lsn) -> Result<(), CheckpointError> {
        for other in self.manifests()?.into_iter().filter(|other| *other != position) {
            self.remove(&name(MANIFEST, other.0))?;
        }
        self.remove(BALLAST)?;
        self.remove_unnamed()?;
        self.check(&self.folder, self.storage.sync_directory(&self.folder))
    }

    /// The name of the manifest at this position.
    pub(crate) fn manifest_path(&self, position: Lsn) -> String {
        self.path(&name(MANIFEST, position.0))
    }

    /// Removes what no manifest names.
    fn remove_unnamed(&self) -> Result<(), CheckpointError> {
        let mut named = BTreeSet::from([BALLAST.to_owned()]);
        for position in self.manifests()? {
            named.insert(name(MANIFEST, position.0));
            let path = self.manifest_path(position);
            let content = match self.read(&path) {
                Ok(content) => content,
                Err(error) => {
                    // It may name any of them.
                    tracing::warn!("nothing is removed while {path} cannot be read: {error}");
                    return Ok(());
                }
            };
            // What a damaged one names, nobody knows.
            let Ok(manifest) = self.manifest_of(position, &content) else { continue };
            named.extend(manifest.runs().iter().map(|run| name(RUN, run.number)));
            if let StateFiles::Version1 { .. } = manifest.state {
                named.insert(name(if manifest.clean { LAST_RUN_1 } else { RUN_1 }, position.0));
            }
        }
        for file in self.files()?.into_iter().filter(|file| !named.contains(file)) {
            self.remove(&file)?;
        }
        Ok(())
    }

    fn remove(&self, file: &str) -> Result<(), CheckpointError> {
        let path = self.path(file);
        match self.check(&path, self.storage.exists(&path))? {
            true => self.check(&path, self.storage.remove(&path)),
            false => Ok(()),
        }
    }

    /// Writes a run, durably.
    pub(super) fn write_run_by(
        &self,
        number: u64,
        write: impl FnOnce(&mut FileWriter<'_>) -> io::Result<()>,
    ) -> Result<Arc<Run>, CheckpointError> {
        let path = self.run_path(number);
        let written = self.write_run_to(&path, number, write);
        if written.is_err() {
            // Half a run only takes room. If it can't be removed, the next checkpoint or the next start does so.
            let _ = self.storage.remove(&path);
        }
        self.check(&path, written)
    }

    fn write_run_to(
        &self,
        path: &str,
        number: u64,
        write: impl FnOnce(&mut FileWriter<'_>) -> io::Result<()>,
    ) -> io::Result<Arc<Run>> {
        // Left from the first try, if this is the second.
        if self.storage.exists(path)? {
            self.storage.remove(path)?;
        }
        let file = self.storage.create(path)?;
        let (mut offset, mut synced) = (0, 0);
        let mut sink = |piece: &[u8]| {
            append(&*file, &mut offset, piece)?;
            if offset - synced >= SYNC_EVERY_BYTES {
                synced = offset;
                file.sync_data()?;
            }
            Ok(())
        };
        let mut writer = FileWriter::new(&mut sink)?;
        write(&mut writer)?;
        let run = writer.finish(number)?;
        file.sync_all()?;
        self.storage.sync_directory(&self.folder)?;
        Ok(run)
    }

    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let temporary = format!("{path}{TEMPORARY}");
        if self.storage.exists(&temporary)? {
            self.storage.remove(&temporary)?;
        }
        let file = self.storage.create(&temporary)?;
        append(&*file, &mut 0, content)?;
        file.sync_all()?;
        self.storage.rename(&temporary, path)?;
        self.storage.sync_directory(&self.folder)
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Bytes> {
        let file = self.storage.open(path)?;
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut content = BytesMut::zeroed(length);
        file.read_exact_at(&mut content, 0)?;
        Ok(content.freeze())
    }

    /// The positions of all manifests, ascending.
    pub(crate) fn manifests(&self) -> Result<Vec<Lsn>, CheckpointError> {
        let position = |file: &String| u64::from_str_radix(file.strip_prefix(MANIFEST)?, 16).ok().map(Lsn);
        let mut positions: Vec<Lsn> = self.files()?.iter().filter_map(position).collect();
        positions.sort_unstable();
        Ok(positions)
    }

    /// The names of all files.
    pub(crate) fn files(&self) -> Result<Vec<String>, CheckpointError> {
        self.check(&self.folder, self.storage.list(&self.folder))
    }

    pub(super) fn run_path(&self, number: u64) -> String {
        self.path(&name(RUN, number))
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }

    fn check<T>(&self, file: &str, result: io::Result<T>) -> Result<T, CheckpointError> {
        result.map_err(|source| CheckpointError { file: file.to_owned(), source })
    }
}

impl std::fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The lowest and the highest entry that a row names. Of rows that share a block, a run only knows those of all.
fn entries_of(row: &Row) -> Option<(Lsn, Lsn)> {
    if row.is_alone || row.entries.is_none() {
        return row.entries;
    }
    let value = row.value.as_ref()?;
    match broker::entries_in_row(&row.key, value.clone()) {
        Ok(entries) => Some((*entries.first()?, *entries.last()?)),
        Err(_) => row.entries,
    }
}

fn append(file: &dyn StorageFile, offset: &mut u64, piece: &[u8]) -> io::Result<()> {
    file.write_all_at(&mut [IoSlice::new(piece)], *offset)?;
    *offset += piece.len() as u64;
    Ok(())
}

/// The number in hexadecimal with all its digits, so that names sort as numbers do.
pub(super) fn name(kind: &str, number: u64) -> String {
    format!("{kind}{number:016x}")
}

//! The folder of a vhost's checkpoints.

use std::io::{self, IoSlice};
use std::sync::Arc;

use broker::{Broker, Lsn, Row, Sealed};
use bytes::{Bytes, BytesMut};
use journal::LogName;
use journal::storage::{Storage, StorageFile};

use super::job::CheckpointError;
use super::manifest::Manifest;
use super::run_file::{self, RunWriter};

/// Reads and writes the files of one vhost's checkpoints: `checkpoints/<log>/run-<position>` and
/// `manifest-<position>`. The run of a last checkpoint is `last-<position>`: it may have the position of the one before
/// it, whose run stays untouched until the manifest names the other.
#[derive(Clone)]
pub(crate) struct CheckpointStore {
    storage: Arc<dyn Storage>,
    folder: String,
    /// The size of the ballast while checkpoints are small; 0 for none.
    ballast_bytes_min: u64,
}

const ROOT: &str = "checkpoints";
const RUN: &str = "run-";
const LAST_RUN: &str = "last-";
const MANIFEST: &str = "manifest-";
const TEMPORARY: &str = ".tmp";
/// A file that only takes room, to be given to the next checkpoint when there is no other: without it nothing of a full
/// journal could be freed.
const BALLAST: &str = "ballast";
/// Of the storage's reserve, one in this many parts is the least ballast.
const BALLAST_SHARE: u64 = 8;
/// Manifests that are kept: the newest and one to fall back on.
const KEPT: usize = 2;

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

    /// The newest checkpoint that is whole: its manifest and the broker that it describes. What is damaged is passed
    /// over, with a word in the log.
    pub(crate) fn load(
        &self,
        fresh: impl Fn() -> Broker,
    ) -> Result<Option<(Manifest, Broker)>, CheckpointError> {
        for position in self.manifests()?.into_iter().rev() {
            match self.load_one(position, fresh()) {
                Ok(found) => return Ok(Some(found)),
                Err(_) => tracing::warn!(
                    "checkpoint {}/{} is damaged; falling back on the one before it and a longer replay",
                    self.folder,
                    name(MANIFEST, position)
                ),
            }
        }
        Ok(None)
    }

    /// Removes what no manifest names: the rests of a checkpoint that a crash cut short. And manifests above `loaded`,
    /// which are damaged: they must not count as ones to fall back on.
    pub(crate) fn sweep(&self, loaded: Option<Lsn>) -> Result<(), CheckpointError> {
        let mut manifests = self.manifests()?;
        manifests.retain(|position| loaded.is_none_or(|loaded| *position <= loaded));
        for file in self.files()? {
            let is_of =
                |position: &Lsn| [RUN, LAST_RUN, MANIFEST].iter().any(|kind| file == name(kind, *position));
            if file != BALLAST && !manifests.iter().any(is_of) {
                let path = self.path(&file);
                self.check(&path, self.storage.remove(&path))?;
            }
        }
        Ok(())
    }

    /// Writes the run that a manifest will name. Its length in bytes, and the entries that its rows name, some more than once.
    pub(crate) fn write_run(
        &self,
        manifest: &Manifest,
        state: &Sealed,
    ) -> Result<(u64, Vec<Lsn>), CheckpointError> {
        let path = self.path(&run_of(manifest));
        let written = self.write_run_to(&path, state);
        if written.is_err() {
            // Half a run only takes room. If it can't be removed, the next one of its position or the next start does so.
            let _ = self.storage.remove(&path);
        }
        self.check(&path, written)
    }

    /// Gives the ballast's room to whoever comes first. False if there was none.
    pub(super) fn drop_ballast(&self) -> Result<bool, CheckpointError> {
        let path = self.path(BALLAST);
        let exists = self.check(&path, self.storage.exists(&path))?;
        if exists {
            self.check(&path, self.storage.remove(&path))?;
        }
        Ok(exists)
    }

    /// Makes the ballast large enough for a checkpoint somewhat larger than the last. What can't be had now is tried for
    /// after the next.
    pub(crate) fn keep_ballast(&self, run_bytes: u64) {
        if self.ballast_bytes_min == 0 {
            return;
        }
        let bytes = self.ballast_bytes_min.max(run_bytes + run_bytes / 4);
        if let Err(error) = self.resize_ballast(bytes) {
            tracing::debug!(folder = self.folder, bytes, %error, "no room for the ballast");
        }
    }

    fn resize_ballast(&self, bytes: u64) -> io::Result<()> {
        let path = self.path(BALLAST);
        let exists = self.storage.exists(&path)?;
        let file = if exists { self.storage.open(&path)? } else { self.storage.create(&path)? };
        let before = file.len()?;
        if before > 2 * bytes {
            return file.set_len(bytes);
        }
        // Part of it is better than nothing, but a file system may have taken all that there was for it.
        file.preallocate(bytes.max(before)).inspect_err(|_| drop(file.set_len(before)))
    }

    /// Writes a manifest, removes all but the last two, and says which position the older of them has.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<Option<Lsn>, CheckpointError> {
        let path = self.path(&name(MANIFEST, manifest.position));
        self.check(&path, self.replace(&path, manifest.to_text().as_bytes()))?;
        let manifests = self.manifests()?;
        let (obsolete, kept) = manifests.split_at(manifests.len().saturating_sub(KEPT));
        for position in obsolete {
            // The manifest first: a run without a manifest is swept, a manifest without its run is damage.
            for kind in [MANIFEST, RUN, LAST_RUN] {
                let path = self.path(&name(kind, *position));
                if self.check(&path, self.storage.exists(&path))? {
                    self.check(&path, self.storage.remove(&path))?;
                }
            }
        }
        Ok((kept.len() == KEPT).then(|| kept[0]))
    }

    /// The checkpoint of a manifest, or what is wrong with it.
    pub(crate) fn load_one(
        &self,
        position: Lsn,
        mut broker: Broker,
    ) -> Result<(Manifest, Broker), CheckpointDamage> {
        let damage = |file: &str, offset: u64, detail: &str| CheckpointDamage {
            file: file.to_owned(),
            offset,
            detail: detail.to_owned(),
            is_newer: false,
        };
        let newer =
            |file: &str| CheckpointDamage { is_newer: true, ..damage(file, 0, "a newer Forebay wrote it") };
        let path = self.path(&name(MANIFEST, position));
        let manifest = self.read(&path).map_err(|error| damage(&path, 0, &unreadable(&error)))?;
        let text = std::str::from_utf8(&manifest).unwrap_or_default();
        if Manifest::is_of_another_version(text) {
            return Err(newer(&path));
        }
        let manifest = Manifest::from_text(text).filter(|manifest| manifest.position == position);
        let manifest = manifest.ok_or_else(|| damage(&path, 0, "it is not a whole manifest"))?;
        let path = self.path(&run_of(&manifest));
        let run = self.read(&path).map_err(|error| damage(&path, 0, &unreadable(&error)))?;
        if manifest.run_bytes != run.len() as u64 {
            let detail = format!("the run has {} bytes, its manifest says {}", run.len(), manifest.run_bytes);
            return Err(damage(&path, manifest.run_bytes.min(run.len() as u64), &detail));
        }
        let restored = run_file::read(run.clone(), |key, value| broker.restore(key, value).ok());
        // Whole, and yet not understood.
        if restored.is_err() && run_file::read(run, |_, _| Some(())).is_ok() {
            return Err(newer(&path));
        }
        restored.map_err(|offset| damage(&path, offset, "a block of the run is not as it was written"))?;
        Ok((manifest, broker))
    }

    /// Removes all files but those of the checkpoint at this position.
    pub(crate) fn keep_only(&self, position: Lsn) -> Result<(), CheckpointError> {
        for file in self.files()? {
            if ![RUN, MANIFEST].iter().any(|kind| file == name(kind, position)) {
                let path = self.path(&file);
                self.check(&path, self.storage.remove(&path))?;
            }
        }
        self.check(&self.folder, self.storage.sync_directory(&self.folder))
    }

    /// The name of the manifest at this position.
    pub(crate) fn manifest_path(&self, position: Lsn) -> String {
        self.path(&name(MANIFEST, position))
    }

    fn write_run_to(&self, path: &str, state: &Sealed) -> io::Result<(u64, Vec<Lsn>)> {
        // A run of this position may be left from a checkpoint that was cut short.
        if self.storage.exists(path)? {
            self.storage.remove(path)?;
        }
        let file = self.storage.create(path)?;
        let mut offset = 0;
        let mut writer = RunWriter::new(|piece: &[u8]| append(&*file, &mut offset, piece))?;
        let (mut result, mut live) = (Ok(()), Vec::new());
        state.rows(|Row { key, value, .. }| {
            let Some(value) = value.filter(|_| result.is_ok()) else { return };
            let entries = broker::entries_in_row(key, Bytes::copy_from_slice(value));
            live.extend(entries.into_iter().flatten());
            result = writer.row(key, value);
        });
        result?;
        writer.finish()?;
        file.sync_all()?;
        self.storage.sync_directory(&self.folder)?;
        Ok((offset, live))
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

    fn read(&self, path: &str) -> io::Result<Bytes> {
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

    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }

    fn check<T>(&self, file: &str, result: io::Result<T>) -> Result<T, CheckpointError> {
        result.map_err(|source| CheckpointError { file: file.to_owned(), source })
    }
}

/// What is wrong with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDamage {
    /// The file, relative to the data directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub detail: String,
    /// It is whole, but this version does not understand it.
    pub is_newer: bool,
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the file is missing".to_owned(),
        _ => format!("the disk cannot read it ({error})"),
    }
}

impl std::fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn append(file: &dyn StorageFile, offset: &mut u64, piece: &[u8]) -> io::Result<()> {
    file.write_all_at(&mut [IoSlice::new(piece)], *offset)?;
    *offset += piece.len() as u64;
    Ok(())
}

/// The run that a manifest names.
fn run_of(manifest: &Manifest) -> String {
    name(if manifest.clean { LAST_RUN } else { RUN }, manifest.position)
}

/// The position in hexadecimal with all its digits, so that names sort as positions do.
fn name(kind: &str, position: Lsn) -> String {
    format!("{kind}{:016x}", position.0)
}

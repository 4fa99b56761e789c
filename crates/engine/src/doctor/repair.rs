//! The repair: puts copies aside, then makes the log one that starts.
//!
//! ```text
//! copies, synced ─> headers mended, a new segment, CLAIM ─> checkpoint behind all ─> older checkpoints removed
//! ```
//!
//! Cut short at any point, it can be done again: nothing that is whole is taken away, and a log that is half repaired is
//! either refused by a start as before, or sound.

use std::io;
use std::sync::Arc;

use broker::{Lsn, Timestamp};
use journal::storage::{Storage, copy};
use journal::{FileOptions, LogName};

use super::examine::{examine, investigate};
use super::{DataFiles, DoctorError, Examination};
use crate::checkpoint::{CheckpointStore, Manifest, RunName, StateFiles};

/// Where repairs put things aside, in the data directory: a folder for each repair, counting from 1.
const ASIDE: &str = "damaged";

/// What a repair has done.
#[derive(Debug)]
pub struct Repaired {
    /// What was put aside, relative to the data directory.
    pub aside: Vec<String>,
    /// Bytes of those that the disk could not read; they are zeros in the copies.
    pub unreadable_bytes: u64,
    /// Where the log goes on.
    pub position: Lsn,
}

/// Makes a folder for what a repair puts aside, one that no earlier repair had.
///
/// # Errors
/// [`DoctorError::Storage`].
pub fn make_aside(files: &DataFiles) -> Result<String, DoctorError> {
    let error = |source| DoctorError::Storage { file: ASIDE.to_owned(), source };
    let make = || {
        make_folder(&*files.data, ASIDE)?;
        let taken = files.data.list(ASIDE)?;
        let number = taken.iter().filter_map(|name| name.parse::<u64>().ok()).max().unwrap_or(0) + 1;
        let aside = format!("{ASIDE}/{number}");
        make_folder(&*files.data, &aside)?;
        Ok(aside)
    };
    make().map_err(error)
}

/// Repairs a log, whether it is damaged or not. What is lost by it is what [`Examination::losses`] of an examination before
/// it says. `options` are those of the journal.
///
/// # Errors
/// See [`DoctorError`]. Whatever it was, the repair may be tried again.
pub fn repair(
    files: &DataFiles,
    log: &LogName,
    aside: &str,
    options: FileOptions,
    now: Timestamp,
) -> Result<Repaired, DoctorError> {
    // A journal that is gone altogether begins again behind the checkpoint, which still knows the queues.
    make_folder(&*files.journal, log.as_str()).map_err(|source| files.journal_error(log.as_str(), source))?;
    let (examination, (mut broker, manifest)) = investigate(files, log)?;
    let Examination { survey: Some(survey), .. } = examination else { unreachable!("the folder is there") };
    let mut repaired = Repaired { aside: Vec::new(), unreadable_bytes: 0, position: Lsn::NONE };
    repaired.put_aside(files, &*files.journal, &files.journal_folder, survey.damaged_files(), aside)?;
    let store = CheckpointStore::open(Arc::clone(&files.data), log, 0)?;
    let checkpoints = store.files()?.iter().map(|file| store.path(file)).collect();
    repaired.put_aside(files, &*files.data, "", checkpoints, aside)?;

    let behind = manifest.as_ref().map_or(Lsn::NONE, |manifest| manifest.position);
    let (lsn, cursor) = survey.begin_anew(journal::Lsn(behind.0), options)?;
    let boot = survey.epoch.0.max(broker.boot()).max(manifest.map_or(0, |manifest| manifest.boot));
    let position = Lsn(lsn.0);
    broker.forget_seals();
    let run = store.write_run(store.next_run()?, &broker.seal())?;
    let state = StateFiles::Runs(vec![RunName::of(&run)]);
    store.write_manifest(&Manifest { position, cursor, time: now, boot, clean: false, state })?;
    store.keep_only(position)?;

    let after = examine(files, log)?;
    if let Some(damage) = after.damages.first() {
        let problem = format!("{} in {} at byte {}", damage.detail, damage.file, damage.offset);
        return Err(DoctorError::NotRepaired { log: log.clone(), problem });
    }
    repaired.position = position;
    Ok(repaired)
}

impl Repaired {
    /// Copies files to the same paths below `aside`, durably. `folder` is where `from` lies in the data directory.
    fn put_aside(
        &mut self,
        files: &DataFiles,
        from: &dyn Storage,
        folder: &str,
        paths: Vec<String>,
        aside: &str,
    ) -> Result<(), DoctorError> {
        for path in paths {
            let name = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
            let target = format!("{aside}/{name}");
            let copied = || {
                let parent = make_folders(&*files.data, aside, &name)?;
                let unreadable = copy(from, &path, &*files.data, &target)?;
                files.data.sync_directory(&parent)?;
                Ok(unreadable)
            };
            self.unreadable_bytes +=
                copied().map_err(|source| DoctorError::Storage { file: target.clone(), source })?;
            self.aside.push(target);
        }
        Ok(())
    }
}

/// Makes the folders that `path` lies in, below `root`. The innermost.
fn make_folders(storage: &dyn Storage, root: &str, path: &str) -> io::Result<String> {
    let mut folder = root.to_owned();
    let parents = path.rsplit_once('/').map_or("", |(parents, _)| parents);
    for name in parents.split('/').filter(|name| !name.is_empty()) {
        folder = format!("{folder}/{name}");
        make_folder(storage, &folder)?;
    }
    Ok(folder)
}

/// Makes a folder, durably, unless it is there.
fn make_folder(storage: &dyn Storage, folder: &str) -> io::Result<()> {
    if storage.exists(folder)? {
        return Ok(());
    }
    storage.create_directory(folder)?;
    storage.sync_directory(folder.rsplit_once('/').map_or("", |(parent, _)| parent))
}

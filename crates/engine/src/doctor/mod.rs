//! A look at a virtual host that nobody has opened: what is there, what is damaged, what a start would do. And a repair,
//! which keeps all that is whole.
//!
//! The state that is shown is the one that a repair would leave: the newest whole checkpoint, and behind it every entry
//! that can be read. Where nothing is damaged, that is what a start finds.

mod examine;
mod findings;
mod remains;
mod repair;
mod salvage;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use broker::BrokenRecord;
use journal::storage::Storage;
use journal::{ClaimError, LogName, ReadError};

use crate::checkpoint::{CheckpointError, CheckpointStore};

pub use examine::examine;
pub use findings::{CheckpointFinding, Damage, Examination, Losses, Meaning, QueueCount, Start};
pub use remains::Remains;
pub use repair::{Repaired, make_aside, repair};

/// The files of a data directory.
#[derive(Clone)]
pub struct DataFiles {
    /// The data directory: checkpoints lie here, and what a repair puts aside.
    pub data: Arc<dyn Storage>,
    /// The journal's folder in it.
    pub journal: Arc<dyn Storage>,
    /// The name of that folder, to name files from the data directory on.
    pub journal_folder: String,
}

/// A data directory could not be looked at, or not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// A file or folder can't be read or written.
    #[error("cannot use {file}: {source}; check the disk, its space and its permissions")]
    Storage {
        /// Which, from the data directory on.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A checkpoint can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The journal's files can't be opened or written.
    #[error(transparent)]
    Journal(#[from] ClaimError),
    /// An entry changed while it was looked at.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry is whole, and says what this version does not know.
    #[error("{0}; a newer Forebay wrote it, so take the doctor of that version")]
    Newer(#[from] BrokenRecord),
    /// A file is whole, and of a format that this version does not know.
    #[error(
        "{file} is whole, but of a format that this version does not know; take the doctor of the Forebay that wrote it"
    )]
    NewerFormat {
        /// Which, from the data directory on.
        file: String,
    },
    /// Examined again after the repair, the log was not sound.
    #[error(
        "the repair of {log} did not make it sound: {problem}; nothing that could be read was taken away, please report this"
    )]
    NotRepaired {
        /// The log.
        log: LogName,
        /// What is still wrong.
        problem: String,
    },
}

impl DataFiles {
    /// The logs that have a journal or a checkpoint.
    ///
    /// # Errors
    /// [`DoctorError::Storage`].
    pub fn logs(&self) -> Result<Vec<LogName>, DoctorError> {
        let journals = self.journal.list("").map_err(|source| self.journal_error("", source))?;
        let checkpoints = CheckpointStore::logs(&*self.data)
            .map_err(|source| DoctorError::Storage { file: "checkpoints".to_owned(), source })?;
        // What is no name of a log is none of ours.
        let names = journals.iter().chain(&checkpoints).filter_map(|name| LogName::new(name).ok());
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// A file of the journal, named from the data directory on.
    fn journal_file(&self, file: &str) -> String {
        format!("{}/{file}", self.journal_folder)
    }

    fn journal_error(&self, file: &str, source: io::Error) -> DoctorError {
        DoctorError::Storage { file: self.journal_file(file), source }
    }
}

impl std::fmt::Debug for DataFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataFiles").field("journal_folder", &self.journal_folder).finish_non_exhaustive()
    }
}

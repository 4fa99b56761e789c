//! What is wrong with a checkpoint.

use std::io;

use field_table::ShortString;

/// What to do about a queue that is halted.
pub(crate) const HALT_REMEDY: &str =
    "check the disk, stop the server and look with `forebay doctor`, or purge the queue";

/// Something in a checkpoint is not as it was written.
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
    /// The rows that were there, in words; nothing if nobody knows.
    pub rows: Option<String>,
}

impl CheckpointDamage {
    pub(super) fn new(file: &str, offset: u64, detail: &str) -> Self {
        Self { file: file.to_owned(), offset, detail: detail.to_owned(), is_newer: false, rows: None }
    }

    pub(super) fn newer(file: &str) -> Self {
        Self { is_newer: true, ..Self::new(file, 0, "a newer Forebay wrote it") }
    }

    /// Why a queue is halted of which this has messages.
    pub(crate) fn halt_reason(&self) -> String {
        let Self { file, offset, detail, .. } = self;
        format!("messages of it cannot be read, {file} at byte {offset}: {detail}; {HALT_REMEDY}")
    }

    /// Tells the log of a queue that is halted for it.
    pub(crate) fn tell_of_halt(&self, queue: &ShortString) {
        let Self { file, offset, detail, .. } = self;
        tracing::error!(%queue, file, offset, detail, "a queue is halted: a page of its messages cannot be read");
    }

    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(file, 0, "the file is missing"),
            _ => Self::new(file, 0, &format!("the disk cannot read it ({error})")),
        }
    }
}

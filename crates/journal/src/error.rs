//! What can go wrong, sorted by what the caller has to do next.

use std::sync::Arc;

use crate::{Epoch, Lsn};

/// Why a log could not be claimed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClaimError {
    /// A higher epoch has claimed the log. Give up, or win a higher epoch first.
    #[error(
        "the log was claimed by epoch {by}, which is higher than this claim's {epoch}; only a higher epoch may claim it"
    )]
    Superseded {
        /// The epoch that holds the log.
        by: Epoch,
        /// The epoch of the refused claim.
        epoch: Epoch,
    },
    /// Entries right behind the cursor were trimmed. Start from a newer checkpoint.
    #[error(
        "replay was to start at entry {from}, but the log starts at {first}; a checkpoint at {first} or later is needed; `forebay doctor DIR` shows what is there"
    )]
    Trimmed {
        /// The entry that replay needed first.
        from: Lsn,
        /// The lowest entry from which replay to the end of the log is possible.
        first: Lsn,
    },
    /// The cursor was not made by this engine. Start from another checkpoint.
    #[error(
        "the cursor of the checkpoint was not made by this journal engine; start from another checkpoint"
    )]
    ForeignCursor,
    /// Entries that were durable are damaged. Nothing was changed; a human has to decide.
    #[error(
        "the journal is damaged at entry {lsn}: {detail} in {file} at byte {offset}; it was durable, so it is not cut off silently; `forebay doctor DIR` shows what is damaged, see \"Damage\" in docs/journal-format.md"
    )]
    Corrupt {
        /// The file, relative to the journal's root.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The entry that should be there.
        lsn: Lsn,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage under the log failed. Nothing was promised; the claim may be tried again.
    #[error(
        "{operation} of {file} failed: {error}; check the disk, its space and its permissions, then start again"
    )]
    Storage {
        /// What was tried, as a noun: "reading", "sync".
        operation: &'static str,
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
}

/// Why replay stopped before the tail.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The entries were trimmed while they were read.
    #[error(
        "entry {lsn} was trimmed while the log was replayed; replay has to end before the log is trimmed"
    )]
    Trimmed {
        /// The entry that is gone.
        lsn: Lsn,
    },
    /// An entry at or below the tail cannot be read back as it was written.
    #[error(
        "the journal is damaged at entry {lsn}: {detail} in {file} at byte {offset}; `forebay doctor DIR` shows what is damaged, see \"Damage\" in docs/journal-format.md"
    )]
    Corrupt {
        /// The file, relative to the journal's root.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The entry that should be there.
        lsn: Lsn,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage failed.
    #[error("reading {file} failed: {error}; check the disk")]
    Storage {
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
}

/// Why a read of one entry's bytes failed. Other reads, and the log itself, go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// The entry is not durable yet: the caller still has its bytes.
    #[error("entry {lsn} is above the durable position {durable}; it cannot be read back yet")]
    NotDurable {
        /// The entry asked for.
        lsn: Lsn,
        /// The position when the read began.
        durable: Lsn,
    },
    /// The entry was trimmed.
    #[error("entry {lsn} was trimmed; an entry that is still read has to be named in `keep`")]
    Trimmed {
        /// The entry asked for.
        lsn: Lsn,
    },
    /// The range goes beyond the entry.
    #[error("bytes {start}..{end} of entry {lsn} were asked for, but it has {entry_bytes}")]
    OutOfRange {
        /// The entry asked for.
        lsn: Lsn,
        /// First byte asked for.
        start: u64,
        /// End of the range asked for.
        end: u64,
        /// Size of the entry.
        entry_bytes: u64,
    },
    /// The entry cannot be read back as it was written.
    #[error(
        "the journal is damaged at entry {lsn}: {detail} in {file} at byte {offset}; `forebay doctor DIR` shows what is damaged, see \"Damage\" in docs/journal-format.md"
    )]
    Corrupt {
        /// The file, relative to the journal's root.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The entry that should be there.
        lsn: Lsn,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage failed.
    #[error("reading {file} failed: {error}; check the disk")]
    Storage {
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
}

/// Why a log accepts nothing more. A failed write or sync is never tried again: the system may have dropped
/// the bytes and called them clean, so a second sync would succeed without them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LostReason {
    /// The storage has no room.
    #[error("{file} cannot be written: the storage is full ({error}); free some space, then restart")]
    StorageFull {
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// A write or a sync failed.
    #[error("{operation} of {file} failed: {error}; nothing more is accepted, check the disk, then restart")]
    StorageFailed {
        /// What was tried, as a noun: "writing", "sync".
        operation: &'static str,
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// A thread of the engine ended by a panic: a bug.
    #[error("the journal's {thread} thread panicked; this is a bug, restart and report it")]
    ThreadEnded {
        /// Which one.
        thread: &'static str,
    },
    /// A test asked for it.
    #[error("the loss was injected by a test")]
    Injected,
}

/// Why a log could not be destroyed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DestroyError {
    /// A higher epoch has claimed the log.
    #[error("the log was claimed by epoch {by}, which is higher than {epoch}; only its owner may destroy it")]
    Superseded {
        /// The epoch that holds the log.
        by: Epoch,
        /// The epoch of the refused call.
        epoch: Epoch,
    },
    /// The storage failed; part of the log may be gone already. Calling again goes on.
    #[error("{operation} of {file} failed: {error}; check the disk, then try again")]
    Storage {
        /// What was tried, as a noun.
        operation: &'static str,
        /// The file, relative to the journal's root.
        file: String,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
}

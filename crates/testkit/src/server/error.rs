//! Why a server could not be run.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The server under test did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The binary is missing.
    #[error("{binary} does not exist; build it with `cargo build --release`")]
    NoBinary {
        /// Where it was looked for.
        binary: PathBuf,
    },
    /// Something about files or processes failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("the server ended with {status} before it was ready; the end of its log:\n{log_tail}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log_tail: String,
    },
    /// It runs but does not get ready.
    #[error("the server was not ready after {waited_ms} ms; the end of its log:\n{log_tail}")]
    NotReady {
        /// How long it was waited for.
        waited_ms: u128,
        /// The last lines of its log.
        log_tail: String,
    },
    /// It did not end when asked to.
    #[error("the server still runs {waited_ms} ms after it was asked to end")]
    DoesNotEnd {
        /// How long it was waited for.
        waited_ms: u128,
    },
}

impl ServerError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

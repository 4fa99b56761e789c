//! Why a conversation did not go as scripted.

use std::io;

use amqp_wire::{ContentError, FrameError, MethodError};

/// The other side, or the way to it, did not do what the script expects.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The socket failed. A server that was killed looks like this, or like [`PeerError::Closed`].
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The other side closed the TCP connection.
    #[error("the broker closed the TCP connection")]
    Closed,
    /// Nothing came in time.
    #[error("nothing came from the broker for {waited_ms} ms while waiting for {expected}")]
    TimedOut {
        /// How long the peer was willing to wait.
        waited_ms: u128,
        /// What the script was waiting for.
        expected: &'static str,
    },
    /// What came are not frames.
    #[error("the broker sent no frame: {0}")]
    Frame(#[from] FrameError),
    /// What came is no method.
    #[error("the broker sent a method that cannot be read: {0}")]
    Method(#[from] MethodError),
    /// What came is no content header.
    #[error("the broker sent a content header that cannot be read: {0}")]
    Content(#[from] ContentError),
    /// Another method came than the script expects.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What the script was waiting for.
        expected: String,
        /// What came instead, with all its arguments.
        got: String,
    },
}

impl PeerError {
    /// Whether this is how the end of the connection looks, whoever caused it.
    pub fn is_disconnect(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            _ => false,
        }
    }
}

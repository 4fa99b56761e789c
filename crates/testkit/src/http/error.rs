//! Why a request was not answered as scripted.

use std::io;

/// The server, or the way to it, did not do what the script expects.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The socket failed. A server that was killed looks like this, or like [`HttpError::Closed`].
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The other side closed the TCP connection before the answer was whole.
    #[error("the server closed the TCP connection after {received_bytes} bytes of an answer")]
    Closed {
        /// How much of it had come.
        received_bytes: usize,
    },
    /// Nothing came in time.
    #[error("no answer for {waited_ms} ms")]
    TimedOut {
        /// How long the peer was willing to wait.
        waited_ms: u128,
    },
    /// What came is no answer that this peer understands.
    #[error("the server sent what is no plain HTTP/1.1 answer ({reason}): {head:?}")]
    Unexpected {
        /// What is wrong with it.
        reason: &'static str,
        /// Status line and headers.
        head: String,
    },
}

impl HttpError {
    /// Whether this is how the end of the connection looks, whoever caused it.
    pub fn is_disconnect(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Closed { .. })
    }
}

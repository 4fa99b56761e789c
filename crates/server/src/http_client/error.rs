//! Why there is no answer.

use std::io;
use std::time::Duration;

/// Why a request has no answer. Whether the server acted on it is known for [`HttpError::Unreachable`] alone: it did
/// not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The request was not sent.
    #[error("cannot reach {address}: {reason}; is a broker running there?")]
    Unreachable {
        /// Where the server should be.
        address: String,
        /// What the operating system says. Part of the message, so that it is not a source beside it.
        reason: io::Error,
    },
    /// The line broke before the answer had come.
    #[error("the line to {address} broke: {reason}")]
    Broken {
        /// Where the server is.
        address: String,
        /// What happened. Part of the message too.
        reason: hyper::Error,
    },
    /// The answer did not come in time.
    #[error("{address} did not answer within {waited:?}")]
    Silent {
        /// Where the server is.
        address: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The answer is larger than this program takes.
    #[error("the answer of {address} has more than {limit} bytes, which is the most that is taken")]
    TooLarge {
        /// Where the server is.
        address: String,
        /// The bound.
        limit: usize,
    },
}

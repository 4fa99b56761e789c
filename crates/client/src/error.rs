//! What can go wrong, sorted by what the caller can do about it.

use std::time::Duration;

use bytes::Bytes;

use crate::TaskId;
use crate::link::{Ended, Refused, Verdict};
use crate::message::PROPERTIES_BYTES_MAX;

pub use crate::link::{ConnectError, UrlError};

/// Why a message was not published, or a queue not declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The message met no queue. Nothing was stored; declare the queue or the binding first.
    #[error("the message reaches no queue: {code} {text}")]
    Unroutable {
        /// AMQP's reply code, usually 312.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// The broker could not take the message: a queue is full, or the broker fails. Later it may.
    #[error("the broker did not take the message; a queue may be full")]
    Nacked,
    /// The broker refuses: no such exchange (404), no permission (403), another definition (406), too large (311).
    #[error("the broker refuses: {code} {text}")]
    Refused {
        /// AMQP's reply code.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// A name or a short text is longer than AMQP allows.
    #[error("the {what} has {bytes} bytes, at most 255 are allowed")]
    TooLong {
        /// Which one.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// The headers and the other properties are too large together.
    #[error(
        "the properties have {bytes} bytes, at most {PROPERTIES_BYTES_MAX} are allowed; move headers to the body"
    )]
    PropertiesTooLarge {
        /// How many they have.
        bytes: usize,
    },
    /// The client was closed. Whether the message was stored is not known if it was on its way already.
    #[error("the client is closed")]
    Closed,
}

/// Why a task was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// It was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Time is up. The task goes on, and its result can be asked for later, by its id; unless the broker was away for
    /// all that time, and the task never got there.
    #[error("no result of task {task_id} within {waited:?}; it goes on")]
    Late {
        /// The task.
        task_id: TaskId,
        /// How long was waited.
        waited: Duration,
    },
    /// The task failed for good.
    #[error("task {task_id} failed: {failure}")]
    Failed {
        /// The task.
        task_id: TaskId,
        /// What the worker said.
        failure: Failure,
    },
    /// The result is not of the expected type. The task has succeeded.
    #[error("the result of task {task_id} is not of the expected type: {source}")]
    Decode {
        /// The task.
        task_id: TaskId,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// There is no such queue. Nothing was stored.
    #[error("there is no queue '{queue}'; declare it first")]
    Unroutable {
        /// The queue.
        queue: String,
    },
    /// The task was not sent, for another reason.
    #[error(transparent)]
    Send(SendError),
}

/// What a worker said about a task that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In short.
    pub title: String,
    /// HTTP's status code for it, 400 to 599. 500 if the worker chose none.
    pub status: u16,
    /// MIME type of the body; `application/problem+json` from workers of this project.
    pub content_type: Option<String>,
    /// The worker's whole answer.
    pub body: Bytes,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} (status {})", self.title, self.status)
    }
}

impl CallError {
    /// What it means to a caller that its task was not published.
    pub(crate) fn not_published(queue: &str, error: PublishError) -> Self {
        match error {
            PublishError::Unroutable { .. } => Self::Unroutable { queue: queue.to_owned() },
            error => Self::Send(error.into()),
        }
    }
}

impl From<Ended> for PublishError {
    fn from(_: Ended) -> Self {
        Self::Closed
    }
}

impl From<Refused> for PublishError {
    fn from(Refused { code, text }: Refused) -> Self {
        Self::Refused { code, text }
    }
}

impl PublishError {
    /// What a verdict means to who published.
    pub(crate) fn judge(verdict: Verdict) -> Result<(), Self> {
        match verdict {
            Verdict::Confirmed => Ok(()),
            Verdict::Returned(Refused { code, text }) => Err(Self::Unroutable { code, text }),
            Verdict::Nacked => Err(Self::Nacked),
            Verdict::Refused(refused) => Err(refused.into()),
        }
    }
}

//! What a handler knows about its attempt, and may do within it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use amqp_wire::{Properties, Value};
use forebay_client::link::Publication;
use forebay_client::{Message, PublishError, SendError, Task, TaskId, TaskType};
use tokio_util::sync::CancellationToken;

/// The attempt that a handler is in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cx {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    task_id: Option<TaskId>,
    attempt: u32,
    epoch: u64,
    deadline: Option<SystemTime>,
    cancelled: CancellationToken,
    outbox: Mutex<Outbox>,
}

/// What goes out with the result.
#[derive(Debug, Default)]
struct Outbox {
    publications: Vec<Publication>,
    bytes: usize,
    /// The attempt is over.
    is_closed: bool,
}

/// Why a message cannot go out with the result.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// There are too many, or they are too large: they are kept in memory until the attempt ends.
    #[error(
        "an attempt publishes at most {MESSAGES_MAX} messages of {BYTES_MAX} bytes together; split the task"
    )]
    Full,
    /// The attempt is over: its result is decided.
    #[error("the attempt is over")]
    Over,
    /// The message cannot be published.
    #[error(transparent)]
    Send(#[from] SendError),
}

const MESSAGES_MAX: usize = 1000;
const BYTES_MAX: usize = 16 << 20;

impl Cx {
    pub(crate) fn new(properties: &Properties, cancelled: CancellationToken) -> Self {
        let header =
            |name: &str| properties.headers.as_ref().and_then(|headers| headers.get(name.as_bytes()));
        let number = |name| header(name).and_then(Value::as_integer);
        let task_id = header("x-task-id")
            .and_then(Value::as_str_bytes)
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse().ok());
        let deadline = match header("x-deadline") {
            Some(Value::Timestamp(seconds)) => {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*seconds))
            }
            _ => None,
        };
        let inner = Inner {
            task_id,
            attempt: number("x-attempt").and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1),
            epoch: number("x-epoch").and_then(|epoch| u64::try_from(epoch).ok()).unwrap_or(0),
            deadline,
            cancelled,
            outbox: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The task's id, the same in every attempt: what to tell other systems, so that they can recognise a repetition.
    /// `None` on a queue whose messages are no tasks.
    pub fn task_id(&self) -> Option<TaskId> {
        self.inner.task_id
    }

    /// Which attempt this is, from 1. Always 1 on a queue whose messages are no tasks.
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// A number that grows with every delivery of the task: writes to other systems that carry it can refuse those of
    /// an attempt that has been overtaken. 0 on a queue whose messages are no tasks.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// By when the task has to be done, to the second, if its producer said so.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.inner.deadline
    }

    /// Waits until the attempt is cancelled: the connection is lost, so that the task runs elsewhere and this result
    /// counts for nothing, or the worker ends and its grace is over.
    pub async fn cancelled(&self) {
        self.inner.cancelled.cancelled().await;
    }

    /// Whether the attempt is cancelled: what a handler that blocks asks now and then.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.is_cancelled()
    }

    /// Publishes a message together with the result: in one commit, or not at all when the attempt fails or its
    /// result comes too late.
    ///
    /// A message that reaches no queue then is lost, with an error in the worker's log: the commit holds all the
    /// same. One for an exchange that does not exist fails the attempt.
    ///
    /// # Errors
    /// [`OutboxError`], at once.
    pub fn publish(&self, exchange: &str, routing_key: &str, message: Message) -> Result<(), OutboxError> {
        let publication = message.into_publication(exchange, routing_key).map_err(SendError::Publish)?;
        let mut outbox = self.outbox();
        if outbox.is_closed {
            return Err(OutboxError::Over);
        }
        let bytes = outbox.bytes + publication.bytes();
        if outbox.publications.len() >= MESSAGES_MAX || bytes > BYTES_MAX {
            return Err(OutboxError::Full);
        }
        outbox.bytes = bytes;
        outbox.publications.push(publication);
        Ok(())
    }

    /// Sends a task to any queue together with the result, as [`Cx::publish`] does.
    ///
    /// # Errors
    /// [`OutboxError`], at once.
    pub fn send_to(&self, queue: &str, task: Task) -> Result<TaskId, OutboxError> {
        let id = TaskId::fresh();
        self.publish("", queue, task.into_message(id))?;
        Ok(id)
    }

    /// Sends a task to the queue of its type together with the result: the next step of a chain.
    ///
    /// # Errors
    /// [`OutboxError`], at once.
    pub fn send<T: TaskType>(&self, payload: &T) -> Result<TaskId, OutboxError> {
        let task = Task::new(T::NAME, payload).map_err(SendError::Encode)?;
        self.send_to(T::QUEUE, task)
    }

    /// Takes what is to go out with the result; later ones are refused.
    pub(crate) fn close(&self) -> Vec<Publication> {
        let mut outbox = self.outbox();
        outbox.is_closed = true;
        std::mem::take(&mut outbox.publications)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Nothing panics halfway through a change.
        self.inner.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<PublishError> for OutboxError {
    fn from(error: PublishError) -> Self {
        Self::Send(error.into())
    }
}

#[cfg(test)]
mod tests {
    use amqp_wire::{ShortString, Table};

    use super::*;

    fn cx(headers: &[(&'static str, Value)]) -> Cx {
        let headers: Table =
            headers.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        Cx::new(&properties, CancellationToken::new())
    }

    #[test]
    fn headers_tell_about_the_attempt() {
        let id = TaskId::fresh();
        let cx = cx(&[
            ("x-task-id", Value::text(&id.to_string())),
            ("x-attempt", Value::I32(3)),
            ("x-epoch", Value::I64(1 << 20)),
            ("x-deadline", Value::Timestamp(1_000_000)),
        ]);
        assert_eq!((cx.task_id(), cx.attempt(), cx.epoch()), (Some(id), 3, 1 << 20));
        assert_eq!(cx.deadline(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn a_plain_message_has_the_least() {
        let cx = cx(&[]);
        assert_eq!((cx.task_id(), cx.attempt(), cx.epoch(), cx.deadline()), (None, 1, 0, None));
    }

    #[test]
    fn the_outbox_is_bounded_and_closes() {
        let cx = cx(&[]);
        let message = || Message::new(vec![0; 9 << 20]);
        cx.publish("", "q", message()).unwrap();
        assert!(matches!(cx.publish("", "q", message()), Err(OutboxError::Full)));
        for _ in 1..MESSAGES_MAX {
            cx.publish("", "q", Message::new("")).unwrap();
        }
        assert!(matches!(cx.publish("", "q", Message::new("")), Err(OutboxError::Full)));
        assert_eq!(cx.close().len(), MESSAGES_MAX);
        assert!(matches!(cx.publish("", "q", Message::new("")), Err(OutboxError::Over)));
    }
}

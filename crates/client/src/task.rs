//! Tasks as the program writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Message;
use crate::message::whole_ms;

/// A kind of task: what it is called, where it goes, and what comes of it.
///
/// The type itself is the payload, as JSON. Producer and worker share it:
///
/// ```
/// use forebay_client::TaskType;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct SendSms { to: String, text: String }
///
/// #[derive(Serialize, Deserialize)]
/// struct Receipt { id: String }
///
/// impl TaskType for SendSms {
///     const NAME: &'static str = "sms.send";
///     const QUEUE: &'static str = "sms";
///     type Output = Receipt;
/// }
/// ```
pub trait TaskType: Serialize + DeserializeOwned + Send + 'static {
    /// The task's name, at most 255 bytes. By it a worker finds the handler.
    const NAME: &'static str;
    /// The queue that it goes to, at most 255 bytes.
    const QUEUE: &'static str;
    /// What a worker answers with, as JSON. `()` for nothing.
    type Output: Serialize + DeserializeOwned + Send + 'static;
}

/// The id of a task: a UUIDv7, which sorts by the time at which it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Uuid);

/// A text that is no id of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no id of a task: a UUID is expected, as 0199c3f0-0000-7000-8000-000000000000")]
pub struct TaskIdError {
    text: String,
}

impl TaskId {
    /// A fresh one, of the present moment.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// As a UUID.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), formatter)
    }
}

impl FromStr for TaskId {
    type Err = TaskIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self).map_err(|_| TaskIdError { text: text.to_owned() })
    }
}

/// A task to send: a payload, and how it is to be treated.
///
/// All times are counted in whole milliseconds. What is not said is the broker's default.
#[derive(Clone, Debug)]
pub struct Task {
    message: Message,
    has_idempotency_key: bool,
}

impl Task {
    /// A task of this name, with `payload` as JSON.
    ///
    /// # Errors
    /// When `payload` cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(
        name: impl Into<String>,
        payload: &T,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::of(Message::json(payload)?.name(name)))
    }

    /// A task whose payload is bytes of any kind, without a name.
    pub fn raw(content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::of(Message::new(body).content_type(content_type))
    }

    fn of(message: Message) -> Self {
        Self { message, has_idempotency_key: false }
    }

    /// The task's name, by which a worker finds the handler.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.map(|message| message.name(name))
    }

    /// Start no sooner than this from now.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.map(|message| message.header("x-delay", whole_ms(delay)))
    }

    /// Start within this from now, or never: the task then ends as expired.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.map(|message| message.ttl(ttl))
    }

    /// Be done within this from now, retries included.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.map(|message| message.header("x-deadline", whole_ms(deadline)))
    }

    /// How many attempts may fail before the task has failed.
    #[must_use]
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        self.map(|message| message.header("x-max-attempts", i64::from(max_attempts)))
    }

    /// How long the result is kept. Zero keeps none.
    #[must_use]
    pub fn result_ttl(self, result_ttl: Duration) -> Self {
        self.map(|message| message.header("x-result-ttl", whole_ms(result_ttl)))
    }

    /// What makes the task one of a kind, at most 255 bytes: the queue takes a second one of this key, by this user
    /// and within a day, as the first one again. Without a key a task that was sent shortly before the connection
    /// broke may be stored twice.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.has_idempotency_key = true;
        self.map(|message| message.header("x-idempotency-key", key.into()))
    }

    /// A queue that the result is published to, in the same commit that stores it.
    #[must_use]
    pub fn reply_to(self, queue: impl Into<String>) -> Self {
        self.map(|message| message.reply_to(queue))
    }

    /// A header of the program's own.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<crate::HeaderValue>) -> Self {
        self.map(|message| message.header(name, value))
    }

    /// The message of this task.
    #[doc(hidden)]
    pub fn into_message(self, id: TaskId) -> Message {
        self.message.message_id(id.to_string())
    }

    /// The message of this task as a call: the answer comes to the caller's own connection, and a repeated publish
    /// joins the first.
    pub(crate) fn into_call(self, id: TaskId) -> Message {
        let has_key = self.has_idempotency_key;
        let message = self.into_message(id).reply_to("amq.rabbitmq.reply-to").correlation_id(id.to_string());
        if has_key { message } else { message.header("x-idempotency-key", id.to_string()) }
    }

    fn map(self, change: impl FnOnce(Message) -> Message) -> Self {
        Self { message: change(self.message), ..self }
    }
}

/// The options of a task, for builders that hold one.
macro_rules! task_options {
    ($field:ident) => {
        /// Start no sooner than this from now.
        pub fn delay(self, delay: std::time::Duration) -> Self {
            self.map(|task| task.delay(delay))
        }

        /// Start within this from now, or never: the task then ends as expired.
        pub fn ttl(self, ttl: std::time::Duration) -> Self {
            self.map(|task| task.ttl(ttl))
        }

        /// Be done within this from now, retries included.
        pub fn deadline(self, deadline: std::time::Duration) -> Self {
            self.map(|task| task.deadline(deadline))
        }

        /// How many attempts may fail before the task has failed.
        pub fn max_attempts(self, max_attempts: u32) -> Self {
            self.map(|task| task.max_attempts(max_attempts))
        }

        /// How long the result is kept. Zero keeps none.
        pub fn result_ttl(self, result_ttl: std::time::Duration) -> Self {
            self.map(|task| task.result_ttl(result_ttl))
        }

        /// What makes the task one of a kind: see [`Task::idempotency_key`](crate::Task::idempotency_key).
        pub fn idempotency_key(self, key: impl Into<String>) -> Self {
            self.map(|task| task.idempotency_key(key))
        }

        fn map(mut self, change: impl FnOnce(crate::Task) -> crate::Task) -> Self {
            self.$field = self.$field.map(change);
            self
        }
    };
}

pub(crate) use task_options;

#[cfg(test)]
mod tests {
    use amqp_wire::{Properties, Value};

    use super::*;

    fn properties(message: Message) -> Properties {
        Properties::decode(&message.into_publication("", "q").unwrap().properties).unwrap()
    }

    #[test]
    fn options_become_what_the_broker_reads() {
        let task = Task::new("sms.send", "x")
            .unwrap()
            .delay(Duration::from_secs(1))
            .ttl(Duration::from_secs(2))
            .deadline(Duration::from_secs(3))
            .result_ttl(Duration::ZERO)
            .max_attempts(4)
            .idempotency_key("k")
            .reply_to("done");
        let id = TaskId::fresh();
        let properties = properties(task.into_message(id));
        let headers = properties.headers.unwrap();
        let number = |name: &str| headers.get(name.as_bytes()).and_then(Value::as_integer);
        assert_eq!(number("x-delay"), Some(1000));
        assert_eq!(number("x-deadline"), Some(3000));
        assert_eq!(number("x-result-ttl"), Some(0));
        assert_eq!(number("x-max-attempts"), Some(4));
        assert_eq!(headers.get(b"x-idempotency-key"), Some(&Value::text("k")));
        assert_eq!(properties.expiration.unwrap(), "2000");
        assert_eq!(properties.kind.unwrap(), "sms.send");
        assert_eq!(properties.reply_to.unwrap(), "done");
        assert_eq!(properties.message_id.unwrap().to_string(), id.to_string());
    }

    #[test]
    fn a_call_has_a_key_of_its_own_unless_it_was_given_one() {
        let key = |task: Task, id| {
            properties(task.into_call(id)).headers.unwrap().get(b"x-idempotency-key").cloned().unwrap()
        };
        let id = TaskId::fresh();
        assert_eq!(key(Task::raw("text/plain", ""), id), Value::text(&id.to_string()));
        assert_eq!(key(Task::raw("text/plain", "").idempotency_key("mine"), id), Value::text("mine"));
    }

    #[test]
    fn ids_are_lower_case_and_hyphenated() {
        let id = TaskId::fresh();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert!("x".parse::<TaskId>().is_err());
    }
}

//! Messages as the program writes them.

use std::time::Duration;

use amqp_wire::{Properties, ShortString, Table, Value};
use bytes::Bytes;

use crate::PublishError;
use crate::link::Publication;

/// A message to publish: a body, and what is said about it.
///
/// ```
/// use forebay_client::Message;
///
/// let message = Message::new("42").content_type("text/plain").header("shop", "main").priority(3);
/// ```
#[derive(Clone, Debug)]
pub struct Message {
    body: Bytes,
    persistent: bool,
    mandatory: bool,
    content_type: Option<String>,
    content_encoding: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    message_id: Option<String>,
    name: Option<String>,
    priority: Option<u8>,
    ttl: Option<Duration>,
    headers: Table,
    /// The first header whose name is too long.
    header_too_long_bytes: Option<usize>,
}

impl Message {
    /// A persistent message that has to reach a queue.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            persistent: true,
            mandatory: true,
            content_type: None,
            content_encoding: None,
            correlation_id: None,
            reply_to: None,
            message_id: None,
            name: None,
            priority: None,
            ttl: None,
            headers: Table::new(),
            header_too_long_bytes: None,
        }
    }

    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON: a map whose keys are no strings, or a failing `Serialize`.
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_vec(value)?).content_type("application/json"))
    }

    /// The MIME type of the body.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The MIME encoding of the body, as `gzip`.
    #[must_use]
    pub fn content_encoding(mut self, content_encoding: impl Into<String>) -> Self {
        self.content_encoding = Some(content_encoding.into());
        self
    }

    /// Ties a reply to its request.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation_id.into());
        self
    }

    /// The queue that a reply should go to.
    #[must_use]
    pub fn reply_to(mut self, queue: impl Into<String>) -> Self {
        self.reply_to = Some(queue.into());
        self
    }

    /// The message's id. Default: a fresh UUIDv7.
    #[must_use]
    pub fn message_id(mut self, message_id: impl Into<String>) -> Self {
        self.message_id = Some(message_id.into());
        self
    }

    /// The kind of message; the property `type`, which is a task's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The priority; 0 is the lowest.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long the message may wait in a queue, in whole milliseconds (a part of one counts as one).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// A header. One of the same name is replaced.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        match ShortString::try_from(name) {
            Ok(name) => {
                self.headers.insert(name, value.into().0);
            }
            Err(_) => self.header_too_long_bytes = Some(name.len()),
        }
        self
    }

    /// Lets the message live in memory alone: it does not survive a restart of the broker. Queues of tasks keep it
    /// all the same.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.persistent = false;
        self
    }

    /// Lets the message vanish when it reaches no queue, as suits a topic that nobody may be listening to.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.mandatory = false;
        self
    }

    /// Makes what goes to the wire.
    #[doc(hidden)]
    pub fn into_publication(self, exchange: &str, routing_key: &str) -> Result<Publication, PublishError> {
        if let Some(bytes) = self.header_too_long_bytes {
            return Err(PublishError::TooLong { what: "name of a header", bytes });
        }
        let ttl_ms = self.ttl.map(|ttl| whole_ms(ttl).to_string());
        let properties = Properties {
            content_type: short("content type", self.content_type)?,
            content_encoding: short("content encoding", self.content_encoding)?,
            headers: (!self.headers.is_empty()).then_some(self.headers),
            delivery_mode: Some(if self.persistent { 2 } else { 1 }),
            priority: self.priority,
            correlation_id: short("correlation id", self.correlation_id)?,
            reply_to: short("reply address", self.reply_to)?,
            expiration: short("time to live", ttl_ms)?,
            message_id: short("message id", self.message_id)?,
            kind: short("name", self.name)?,
            ..Properties::default()
        };
        let exchange = short_string("name of the exchange", exchange)?;
        let routing_key = short_string("routing key", routing_key)?;
        let publication = Publication::new(exchange, routing_key, self.mandatory, properties, self.body);
        match publication.properties.len() {
            bytes if bytes > PROPERTIES_BYTES_MAX => Err(PublishError::PropertiesTooLarge { bytes }),
            _ => Ok(publication),
        }
    }
}

/// Properties travel in one frame. A frame that is too large ends the connection, and would do so again after each
/// reconnect; brokers take frames of 128 KiB unless they are told otherwise.
pub(crate) const PROPERTIES_BYTES_MAX: usize = 64 << 10;

/// What a header can be: a text, a whole number, or yes and no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue(Value);

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self(Value::text(text))
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self(Value::text(&text))
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self(Value::I64(number))
    }
}

impl From<bool> for HeaderValue {
    fn from(yes: bool) -> Self {
        Self(Value::Bool(yes))
    }
}

/// Whole milliseconds, rounded up; what does not fit 63 bits is as good as for ever.
pub(crate) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

pub(crate) fn short_string(what: &'static str, text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_from(text).map_err(|_| PublishError::TooLong { what, bytes: text.len() })
}

fn short(what: &'static str, text: Option<String>) -> Result<Option<ShortString>, PublishError> {
    text.map(|text| short_string(what, &text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_becomes_properties() {
        let message = Message::json(&[1, 2])
            .unwrap()
            .name("sum")
            .ttl(Duration::from_micros(1500))
            .header("x-delay", 5)
            .header("x-delay", 6)
            .priority(9);
        let publication = message.into_publication("", "sums").unwrap();
        let properties = Properties::decode(&publication.properties).unwrap();
        assert_eq!(properties.content_type.as_ref().unwrap(), &"application/json");
        assert_eq!(properties.kind.as_ref().unwrap(), &"sum");
        assert_eq!(properties.expiration.as_ref().unwrap(), &"2");
        assert_eq!(properties.delivery_mode, Some(2));
        let headers = properties.headers.unwrap();
        assert_eq!((headers.len(), headers.get(b"x-delay")), (1, Some(&Value::I64(6))));
        assert_eq!(properties.message_id, Some(publication.message_id));
    }

    #[test]
    fn long_names_are_refused_before_anything_is_sent() {
        let check = |message: Message, key: &str, what: &str| {
            let error = message.into_publication("", key).unwrap_err();
            assert_eq!(error.to_string(), format!("the {what} has 256 bytes, at most 255 are allowed"));
        };
        let long = "x".repeat(256);
        check(Message::new(""), &long, "routing key");
        check(Message::new("").header(&long, true), "q", "name of a header");
        check(Message::new("").correlation_id(&long), "q", "correlation id");
    }

    #[test]
    fn properties_that_fit_no_frame_are_refused_before_anything_is_sent() {
        let message = |bytes: usize| Message::new("").header("notes", "x".repeat(bytes));
        assert!(message(60_000).into_publication("", "q").is_ok());
        let error = message(70_000).into_publication("", "q").unwrap_err();
        assert!(matches!(error, PublishError::PropertiesTooLarge { bytes } if bytes > 70_000));
    }
}

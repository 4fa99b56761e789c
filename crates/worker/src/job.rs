//! One task as a handler gets it.

use amqp_wire::{Table, Value};
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// A task's payload, and what is said about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// The queue that it came from.
    pub queue: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// MIME type of the body, if the producer named one.
    pub content_type: Option<String>,
    /// The payload.
    pub body: Bytes,
    pub(crate) headers: Table,
}

impl Job {
    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// When it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// A header that is a text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name.as_bytes())
            .and_then(Value::as_str_bytes)
            .and_then(|text| std::str::from_utf8(text).ok())
    }
}

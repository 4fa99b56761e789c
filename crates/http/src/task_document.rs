//! A task as a producer writes it in JSON, turned into a message.

use broker::Envelope;
use field_table::{ShortString, Table, Value};
use message_properties::Properties;
use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use crate::header_table;
use crate::idempotency::Fingerprint;
use crate::json::Object;
use crate::options::{TaskOptions, check_headers, short};

/// A task to be added to the queue that the path names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskDocument {
    name: Option<String>,
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    options: Object<TaskOptions>,
    headers: Option<Map<String, serde_json::Value>>,
}

/// A message or task that is published when another is done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishDocument {
    queue: String,
    name: Option<String>,
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    options: Object<TaskOptions>,
    headers: Option<Map<String, serde_json::Value>>,
}

/// Properties and body of a message that is to be.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Its properties.
    pub(crate) properties: Properties,
    /// Its body.
    pub(crate) body: bytes::Bytes,
}

impl TaskDocument {
    /// The message of the task.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn into_draft(self) -> Result<Draft, String> {
        Draft::of_json(self.name, self.payload, &self.options.0, self.headers)
    }
}

impl PublishDocument {
    /// The queue and the message for it.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn into_envelope(self) -> Result<(ShortString, Envelope), String> {
        let queue = short("queue", &self.queue)?;
        let draft = Draft::of_json(self.name, self.payload, &self.options.0, self.headers)?;
        let envelope = draft.into_envelope(&queue, &Table::new());
        Ok((queue, envelope))
    }
}

impl Draft {
    fn of_json(
        name: Option<String>,
        payload: Option<Box<RawValue>>,
        options: &TaskOptions,
        headers: Option<Map<String, serde_json::Value>>,
    ) -> Result<Self, String> {
        let headers = headers.map(header_table::from_json).transpose()?.unwrap_or_default();
        check_headers(&headers)?;
        let mut properties = Properties {
            content_type: Some(ShortString::from_static("application/json")),
            delivery_mode: Some(2),
            kind: name.map(|name| short("name", &name)).transpose()?,
            headers: Some(headers),
            ..Properties::default()
        };
        options.write(&mut properties)?;
        let payload = payload.map_or_else(|| "null".into(), Box::<str>::from);
        Ok(Self { properties, body: payload.into_boxed_bytes().into() })
    }

    /// Adds what makes two drafts different to a fingerprint.
    pub(crate) fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(&self.properties.to_bytes());
        fingerprint.add(&self.body);
    }

    /// The message for a queue, with `more` headers. One copy of the body.
    pub(crate) fn into_envelope(mut self, queue: &ShortString, more: &Table) -> Envelope {
        if !more.is_empty() {
            let headers = self.properties.headers.get_or_insert_default();
            more.iter().for_each(|(name, value): &(ShortString, Value)| {
                headers.insert(name.clone(), value.clone());
            });
        }
        Envelope::new(b"", queue, &self.properties.to_bytes(), &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_a_message_with_its_payload_as_it_was_written() {
        let text = br#"{"name":"sms.send","payload":{"to": "+1", "n": 1.0},"headers":{"k":"v"}}"#;
        let task: TaskDocument = crate::json::parse(text).unwrap();
        let envelope =
            task.into_draft().unwrap().into_envelope(&ShortString::from_static("q"), &Table::new());
        assert_eq!((envelope.exchange(), envelope.routing_key()), (&b""[..], &b"q"[..]));
        assert_eq!(envelope.body(), br#"{"to": "+1", "n": 1.0}"#);
        let properties = Properties::decode(envelope.properties()).unwrap();
        assert_eq!(properties.kind, Some(ShortString::from_static("sms.send")));
        assert_eq!(properties.content_type, Some(ShortString::from_static("application/json")));
        assert_eq!(properties.delivery_mode, Some(2));
        assert_eq!(properties.headers.unwrap().get(b"k"), Some(&Value::text("v")));
    }

    #[test]
    fn members_that_nobody_knows_are_named() {
        for (text, named) in [
            (r#"{"nam":"x"}"#, "nam"),
            (r#"{"options":{"retries":1}}"#, "options"),
            (r#"{"name":1}"#, "name"),
        ] {
            let problem = crate::json::parse::<TaskDocument>(text.as_bytes()).unwrap_err();
            assert!(format!("{problem:?}").contains(named), "{problem:?}");
        }
    }
}

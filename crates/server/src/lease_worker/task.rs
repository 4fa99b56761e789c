//! What a worker gets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A task, as a worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Its id, the same for every attempt.
    pub(crate) id: String,
    /// Its name; may be empty.
    pub(crate) name: String,
    /// Counts from 1.
    pub(crate) attempt: u64,
    /// Grows with every delivery: outside systems can fence with it.
    pub(crate) epoch: u64,
    /// The type of the payload.
    pub(crate) content_type: String,
    /// The payload.
    pub(crate) payload: Bytes,
}

/// A task and the hold on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leased {
    /// By which the hold is named.
    pub(super) lease: String,
    /// The task.
    pub(super) task: Task,
}

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// The tasks in an answer to a request for leases.
///
/// # Errors
/// When it has another form.
pub(super) fn parse(answer: &[u8]) -> Result<Vec<Leased>, serde_json::Error> {
    let document: Document = serde_json::from_slice(answer)?;
    document.leases.into_iter().map(Entry::into_leased).collect()
}

#[derive(Deserialize)]
struct Document {
    leases: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    lease: String,
    task: TaskDocument,
}

#[derive(Deserialize)]
struct TaskDocument {
    id: String,
    #[serde(default)]
    name: String,
    /// As it was written: numbers are not for this program to round.
    #[serde(default, deserialize_with = "even_null")]
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    content_type: Option<String>,
    attempt: u64,
    epoch: u64,
}

impl Entry {
    fn into_leased(self) -> Result<Leased, serde_json::Error> {
        let TaskDocument { id, name, payload, payload_base64, content_type, attempt, epoch } = self.task;
        let (payload, default_type) = match (payload, payload_base64) {
            (Some(json), _) => (Bytes::from(json.get().to_owned()), JSON),
            (None, Some(text)) => (STANDARD.decode(text).map_err(serde::de::Error::custom)?.into(), BYTES),
            (None, None) => (Bytes::new(), BYTES),
        };
        let content_type = content_type.unwrap_or_else(|| default_type.to_owned());
        Ok(Leased { lease: self.lease, task: Task { id, name, attempt, epoch, content_type, payload } })
    }
}

/// `null` is a payload like any other, and not the absence of one.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(members: &str, content_type: &str, payload: &[u8]) {
        let answer = format!(
            r#"{{"leases":[{{"lease":"9f","expires_at":"2026-01-01T00:00:00.000Z","task":{{"id":"i","name":"n",
            "attempt":1,"crashes":0,"epoch":3,"headers":{{}},{members}}}}}]}}"#
        );
        let [leased] = parse(answer.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((leased.lease.as_str(), leased.task.epoch), ("9f", 3));
        assert_eq!(
            (leased.task.content_type.as_str(), &leased.task.payload[..]),
            (content_type, payload),
            "{members}"
        );
    }

    #[test]
    fn json_is_passed_on_as_it_was_written() {
        check(r#""payload":{"a":1.000000000000000000001}"#, JSON, br#"{"a":1.000000000000000000001}"#);
        check(r#""payload":null"#, JSON, b"null");
        check(
            r#""payload":"text","content_type":"application/json; v=2""#,
            "application/json; v=2",
            b"\"text\"",
        );
    }

    #[test]
    fn other_payloads_are_bytes() {
        check(r#""payload_base64":"iVBORw==","content_type":"image/png""#, "image/png", b"\x89PNG");
        check(r#""payload_base64":"","content_type":null"#, BYTES, b"");
    }

    #[test]
    fn another_form_is_an_error() {
        for answer in ["", "{}", r#"{"leases":[{}]}"#] {
            assert!(parse(answer.as_bytes()).is_err(), "{answer}");
        }
        let broken =
            r#"{"leases":[{"lease":"9f","task":{"id":"i","attempt":1,"epoch":3,"payload_base64":"?"}}]}"#;
        assert!(parse(broken.as_bytes()).is_err());
    }
}

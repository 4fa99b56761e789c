//! `POST /v1/leases/{id}/fail`: the work failed; it is tried again, or given up.

use std::sync::Arc;

use broker::{Envelope, Fail, Standalone};
use field_table::ShortString;
use message_properties::Properties;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::lease_path::lease;
use super::settlement::settle;
use crate::duration;
use crate::json::invalid;
use crate::problem::{Answer, PROBLEM_JSON, Problem};
use crate::request::Asked;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailDocument {
    #[serde(default)]
    error: Map<String, Value>,
    retry: Option<bool>,
    delay: Option<String>,
}

/// 200 with where the task stands now: scheduled for another attempt, or failed.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (lease, line) = (lease(&asked)?, Arc::clone(&asked.line));
    let FailDocument { error, retry, delay } = asked.receive_json().await?;
    let retry = retry.unwrap_or(true);
    let delay_ms = delay.as_deref().map(duration::parse).transpose();
    let delay_ms = delay_ms.map_err(|reason| invalid(&format!("delay: {reason}")))?;
    if delay_ms.is_some() && !retry {
        return Err(invalid("delay says when to try again and retry says not to; leave one of them out"));
    }
    let status = status(&error)?;
    let error = problem_document(error, status);
    settle(&line, Standalone::Fail(Fail { lease, status, error, retry, delay_ms })).await
}

/// The HTTP status for whoever waits, should the task be given up.
fn status(error: &Map<String, Value>) -> Result<Option<u16>, Problem> {
    let Some(status) = error.get("status").filter(|status| !status.is_null()) else { return Ok(None) };
    let number = status.as_u64().and_then(|number| u16::try_from(number).ok());
    match number.filter(|number| (400..600).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            Err(invalid(&format!("error.status is {status} and has to be 400 to 599; leave it out for 500")))
        }
    }
}

/// The worker's words as a problem (RFC 9457), which is what the one who waits gets. What the worker left out is added.
fn problem_document(mut error: Map<String, Value>, status: Option<u16>) -> Envelope {
    error.entry("type").or_insert_with(|| "/problems/task-failed".into());
    error.entry("title").or_insert_with(|| "The task failed".into());
    error.insert("status".into(), status.unwrap_or(500).into());
    let properties =
        Properties { content_type: Some(ShortString::from_static(PROBLEM_JSON)), ..Properties::default() };
    Envelope::new(b"", b"", &properties.to_bytes(), Value::Object(error).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_failure_becomes_a_problem() {
        let envelope = problem_document(object(json!({"title": "font missing", "font": "x"})), Some(422));
        let document: Value = serde_json::from_slice(envelope.body()).unwrap();
        let expected =
            json!({"type": "/problems/task-failed", "title": "font missing", "status": 422, "font": "x"});
        assert_eq!(document, expected);
    }

    #[test]
    fn only_statuses_of_failures_are_taken() {
        assert_eq!(status(&object(json!({}))).unwrap(), None);
        assert_eq!(status(&object(json!({"status": 422}))).unwrap(), Some(422));
        for wrong in [json!(200), json!(600), json!("422"), json!(-1), json!(65_536 + 422)] {
            assert!(status(&object(json!({ "status": wrong }))).is_err());
        }
    }
}

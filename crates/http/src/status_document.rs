//! A task's status as JSON, and what goes with it in headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use broker::{Envelope, TaskState, TaskView, Timestamp};
use hyper::header::{ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use message_properties::PropertiesView;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::body::Body;
use crate::document;
use crate::entity_tag::entity_tag;
use crate::line::Seen;
use crate::request::is_json;
use crate::rfc3339::rfc3339;

/// The header that names the task of an answer.
pub(crate) const TASK_ID: HeaderName = HeaderName::from_static("task-id");

/// The status of a task. Members that have nothing to say are left out.
#[derive(Serialize)]
pub(crate) struct StatusDocument {
    id: String,
    queue: String,
    name: String,
    state: &'static str,
    attempts: u32,
    crashes: u32,
    releases: u32,
    max_attempts: u32,
    epoch: u64,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Box<RawValue>>,
    links: Links,
}

/// Where to go from a task.
#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    result: String,
    events: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<String>,
}

/// A status with the result, as far as it is there.
#[derive(Serialize)]
pub(crate) struct Outcome<'a> {
    #[serde(flatten)]
    status: StatusDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_content_type: Option<String>,
}

/// The status of a task.
pub(crate) fn status_document(view: &TaskView) -> StatusDocument {
    let own = location(view);
    let links = Links {
        result: format!("{own}/result"),
        events: format!("{own}/events"),
        cancel: (!view.state.is_final()).then(|| format!("{own}/cancel")),
        own,
    };
    StatusDocument {
        id: view.id.to_string(),
        queue: view.queue.to_string(),
        name: view.name.to_string(),
        state: view.state.name(),
        attempts: view.attempts,
        crashes: view.crashes,
        releases: view.releases,
        max_attempts: view.max_attempts,
        epoch: view.epoch,
        created_at: rfc3339(view.created_at),
        due_at: view.due_at.map(rfc3339),
        deadline: view.deadline.map(rfc3339),
        ended_at: view.ended_at.map(rfc3339),
        kept_until: view.kept_until.map(rfc3339),
        status: view.status,
        worker: view.worker.as_ref().map(ToString::to_string),
        progress: view.progress.as_ref().and_then(|progress| serde_json::from_slice(progress).ok()),
        links,
    }
}

/// The path of a task.
pub(crate) fn location(view: &TaskView) -> String {
    format!("/v1/tasks/{}", view.id)
}

/// The status and the result of a task that was seen. A result that is JSON is a part of the document; another one goes in
/// base64, and what a failed task leaves is its `error`.
pub(crate) fn outcome(seen: &Seen) -> Outcome<'_> {
    let mut outcome = Outcome {
        status: status_document(&seen.view),
        result: None,
        error: None,
        result_base64: None,
        result_content_type: None,
    };
    let Some(envelope) = seen.result.as_ref().filter(|envelope| !envelope.body().is_empty()) else {
        return outcome;
    };
    let content_type = content_type(envelope);
    match json_body(envelope) {
        Some(raw) if seen.view.state == TaskState::Failed => outcome.error = Some(raw),
        Some(raw) => outcome.result = Some(raw),
        None => {
            outcome.result_base64 = Some(BASE64.encode(envelope.body()));
            outcome.result_content_type = content_type;
        }
    }
    outcome
}

/// What a message says of the kind of its body.
pub(crate) fn content_type(envelope: &Envelope) -> Option<String> {
    let kind = PropertiesView::from_checked(envelope.properties())
        .value(message_properties::Property::ContentType)?;
    Some(String::from_utf8_lossy(kind).into_owned())
}

/// The body of a message that says it is JSON, and is.
pub(crate) fn json_body(envelope: &Envelope) -> Option<&RawValue> {
    content_type(envelope).filter(|kind| is_json(kind))?;
    serde_json::from_slice(envelope.body()).ok()
}

/// An answer with the status of a task.
pub(crate) fn answer(status: StatusCode, view: &TaskView) -> Response<Body> {
    described(document::json(status, &status_document(view)), view)
}

/// An answer with the status and the result of a task.
pub(crate) fn answer_with_result(seen: &Seen) -> Response<Body> {
    described(document::json(StatusCode::OK, &outcome(seen)), &seen.view)
}

/// 202: the task goes on, and this is where to look for it, and when.
pub(crate) fn accepted(view: &TaskView, now: Timestamp) -> Response<Body> {
    let mut response = answer(StatusCode::ACCEPTED, view);
    response.headers_mut().insert(LOCATION, text(&location(view)));
    response.headers_mut().insert(RETRY_AFTER, retry_after_s(view, now).into());
    response
}

/// Adds the headers that belong to every answer about a task.
fn described(mut response: Response<Body>, view: &TaskView) -> Response<Body> {
    response.headers_mut().insert(ETAG, entity_tag(view.version));
    response.headers_mut().insert(TASK_ID, text(&view.id.to_string()));
    response
}

/// When to look again, in seconds: soon, but not before a scheduled task is due.
pub(crate) fn retry_after_s(view: &TaskView, now: Timestamp) -> u64 {
    let wait_ms = view.due_at.map_or(0, |due_at| due_at.0.saturating_sub(now.0));
    wait_ms.div_ceil(1000).clamp(1, 3600)
}

/// A header of text that is made of printable ASCII.
pub(crate) fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and paths are printable")
}

//! What a worker left, as the answer of whoever waits for it.

use broker::{Envelope, TaskState, TaskView, Timestamp};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use message_properties::{PropertiesView, Property};

use crate::body::Body;
use crate::document;
use crate::line::Seen;
use crate::problem::{Answer, PROBLEM_JSON, Problem};
use crate::service::sandbox;
use crate::status_document::{TASK_ID, accepted, location, text};

/// The longest part of a failed worker's text that becomes the detail of a problem, in bytes.
const DETAIL_BYTES_MAX: usize = 2048;

/// The result of a task as it is: the worker's bytes and status. 202 for a task that has not ended.
///
/// # Errors
/// 410 for a cancelled task, 504 for an expired one, the worker's status (default 500) for a failed one whose worker
/// wrote no problem document of its own.
pub(crate) fn result(seen: &Seen, now: Timestamp) -> Answer {
    let view = &seen.view;
    let answer = match view.state {
        TaskState::Scheduled | TaskState::Ready | TaskState::Running => return Ok(accepted(view, now)),
        TaskState::Succeeded => Ok(succeeded(view, seen.result.as_ref())),
        TaskState::Failed => failed(view, seen.result.as_ref()),
        TaskState::Cancelled => Err(ended(
            view,
            StatusCode::GONE,
            "task-cancelled",
            "The task was cancelled",
            "it was cancelled before it was done; there is no result and there will be none",
        )),
        TaskState::Expired => Err(ended(
            view,
            StatusCode::GATEWAY_TIMEOUT,
            "task-expired",
            "The task expired",
            "no worker began it within its ttl, or did it within its deadline; add workers or send it with more time",
        )),
    };
    let id = text(&view.id.to_string());
    match answer {
        Ok(mut response) => {
            response.headers_mut().insert(TASK_ID, id);
            Ok(response)
        }
        Err(problem) => Err(problem.with_header(TASK_ID, id)),
    }
}

fn succeeded(view: &TaskView, result: Option<&Envelope>) -> Response<Body> {
    match result.filter(|result| !result.body().is_empty()) {
        Some(result) => verbatim(status(view, StatusCode::OK), result),
        None => document::empty(status(view, StatusCode::NO_CONTENT)),
    }
}

fn failed(view: &TaskView, result: Option<&Envelope>) -> Answer {
    let status = status(view, StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(result) = result.filter(|result| is_problem(result)) {
        return Ok(verbatim(status, result));
    }
    if result.is_none() && view.crashes >= broker::CRASHES_MAX {
        let detail = format!("{} workers were lost while they had the task; it was given up", view.crashes);
        return Err(ended(view, status, "crash-loop", "Workers crash", &detail));
    }
    let detail = result.and_then(detail).unwrap_or_else(|| "the worker gave no reason".to_owned());
    Err(ended(view, status, "task-failed", "The task failed", &detail))
}

/// The worker's bytes. Browsers are told not to run them.
fn verbatim(status: StatusCode, result: &Envelope) -> Response<Body> {
    let properties = PropertiesView::from_checked(result.properties());
    let header = |property| properties.value(property).and_then(|value| HeaderValue::from_bytes(value).ok());
    let mut response = Response::new(Body::full(result.body_bytes()));
    *response.status_mut() = status;
    let kind = header(Property::ContentType).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some(encoding) = header(Property::ContentEncoding) {
        response.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    sandbox(&mut response);
    response
}

/// The status that the worker chose. What is no final status of HTTP counts as not chosen.
fn status(view: &TaskView, otherwise: StatusCode) -> StatusCode {
    let chosen = view.status.filter(|status| (200..600).contains(status));
    match chosen.and_then(|status| StatusCode::from_u16(status).ok()) {
        // The core's word for "it succeeded" does not say whether there is a result.
        Some(StatusCode::OK) if otherwise == StatusCode::NO_CONTENT => otherwise,
        Some(chosen) => chosen,
        None => otherwise,
    }
}

fn is_problem(result: &Envelope) -> bool {
    crate::status_document::content_type(result).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PROBLEM_JSON))
    })
}

/// What a worker said of its failure: the reply header `x-error`, or a body that is text.
fn detail(result: &Envelope) -> Option<String> {
    let properties = PropertiesView::from_checked(result.properties());
    let header = properties.decode_headers().ok().and_then(|headers| {
        let text = headers.get(b"x-error")?.as_str_bytes()?;
        Some(String::from_utf8_lossy(text).into_owned())
    });
    let body = || std::str::from_utf8(result.body()).ok().map(str::to_owned);
    let mut detail = header.filter(|text| !text.is_empty()).or_else(body).filter(|text| !text.is_empty())?;
    if detail.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX).rev().find(|end| detail.is_char_boundary(*end)).unwrap_or_default();
        detail.truncate(end);
    }
    Some(detail)
}

fn ended(
    view: &TaskView,
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: &str,
) -> Problem {
    Problem::new(status, code, title, detail)
        .with("task", view.id.to_string())
        .with("state", view.state.name())
        .with("attempts", view.attempts)
}

/// Says in a problem which task it is about, so that a client can ask for it later.
pub(crate) fn about(problem: Problem, view: &TaskView) -> Problem {
    problem.with("task", view.id.to_string()).with_header(LOCATION, text(&location(view)))
}

//! `POST /v1/leases/{id}/complete`: the work is done; its result and what follows from it, in one commit.

use std::sync::Arc;

use broker::{Complete, Envelope, LeaseId, Standalone};
use field_table::ShortString;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use message_properties::Properties;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lease_path::lease;
use super::settlement::settle;
use crate::backend::{Right, Target};
use crate::json::{Object, invalid};
use crate::line::Line;
use crate::problem::{Answer, Problem};
use crate::request::{Asked, essence, parse_or_empty, short_header};
use crate::task_document::PublishDocument;

/// Messages that one completion publishes at most.
const PUBLISH_MAX: usize = 1000;

/// The HTTP status of a raw result.
const TASK_STATUS: HeaderName = HeaderName::from_static("task-status");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteDocument {
    result: Option<Box<RawValue>>,
    status: Option<u16>,
    #[serde(default)]
    publish: Vec<Object<PublishDocument>>,
}

/// 200 with the task's state and the ids of what was published. `application/json` says result, status and publishes; a
/// body of any other kind, `application/problem+json` too, is the result itself.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (lease, line) = (lease(&asked)?, Arc::clone(&asked.line));
    let content_type = asked.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_document = content_type.is_some_and(|kind| essence(kind) == "application/json");
    let complete = if is_document {
        Box::pin(of_json(asked, lease)).await?
    } else {
        Box::pin(of_raw(asked, lease)).await?
    };
    settle(&line, Standalone::Complete(complete)).await
}

async fn of_json(asked: Asked, lease: LeaseId) -> Result<Complete, Problem> {
    let line = Arc::clone(&asked.line);
    let body = asked.receive().await?;
    let document: CompleteDocument = parse_or_empty(&body.bytes)?;
    let result = document.result.map(|result| {
        let properties = Properties {
            content_type: Some(ShortString::from_static("application/json")),
            ..Properties::default()
        };
        Envelope::new(b"", b"", &properties.to_bytes(), result.get().as_bytes())
    });
    let status = document.status.map(|status| check_status("status", Some(status), &status.to_string()));
    let status = status.transpose()?;
    Ok(Complete { lease, status, result, publish: publishes(&line, document.publish)? })
}

async fn of_raw(asked: Asked, lease: LeaseId) -> Result<Complete, Problem> {
    let headers = asked.headers();
    let status = headers.get(TASK_STATUS).map(|status| {
        let number = status.to_str().ok().and_then(|status| status.parse().ok());
        check_status("the header Task-Status", number, &String::from_utf8_lossy(status.as_bytes()))
    });
    let (status, content_type) = (status.transpose()?, short_header(headers, &CONTENT_TYPE)?);
    let content_encoding = short_header(headers, &CONTENT_ENCODING)?;
    let has_type = content_type.is_some();
    let properties = Properties { content_type, content_encoding, ..Properties::default() };
    let body = asked.receive().await?;
    let is_something = has_type || !body.bytes.is_empty();
    let result = is_something.then(|| Envelope::new(b"", b"", &properties.to_bytes(), &body.bytes));
    Ok(Complete { lease, status, result, publish: Vec::new() })
}

fn publishes(line: &Line, documents: Vec<Object<PublishDocument>>) -> Result<Vec<Envelope>, Problem> {
    if documents.len() > PUBLISH_MAX {
        let detail =
            format!("publish has {} messages, at most {PUBLISH_MAX} go with one completion", documents.len());
        return Err(invalid(&detail).with("limit", PUBLISH_MAX));
    }
    let publish = |(index, Object(document)): (usize, Object<PublishDocument>)| {
        let (queue, envelope) =
            document.into_envelope().map_err(|reason| invalid(&format!("publish[{index}]: {reason}")))?;
        line.authorise(Right::Write, Target::Queue(&queue))?;
        Ok(envelope)
    };
    documents.into_iter().enumerate().map(publish).collect()
}

fn check_status(what: &str, status: Option<u16>, written: &str) -> Result<u16, Problem> {
    status.filter(|status| (200..600).contains(status)).ok_or_else(|| {
        invalid(&format!(
            "{what} is {written} and has to be an HTTP status from 200 to 599; leave it out for 200"
        ))
    })
}

//! `/v1/queues/{queue}`: declares, describes and deletes a queue.

use std::sync::Arc;

use broker::{Answer as CoreAnswer, DeclareQueue, QueueReport, Standalone};
use field_table::{ShortString, Table, Value};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use crate::backend::{Right, Target};
use crate::document;
use crate::json::invalid;
use crate::line::Line;
use crate::problem::{Answer, Problem};
use crate::request::Asked;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueDocument {
    task_queue: Option<bool>,
    max_length: Option<u64>,
}

/// A queue as it is.
#[derive(Serialize)]
struct QueueStatus {
    name: String,
    durable: bool,
    task_queue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u64>,
    ready: u64,
    running: u64,
    scheduled: u64,
    failed: u64,
    consumers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_ms: Option<u64>,
}

/// 201 when the queue is new, 200 when it was there like that, 409 when it is there otherwise.
pub(super) async fn put(asked: Asked) -> Answer {
    let (line, name) = (Arc::clone(&asked.line), asked.queue()?);
    line.authorise(Right::Configure, Target::Queue(&name))?;
    if std::str::from_utf8(name.as_bytes()).is_err() {
        return Err(invalid(
            "the name in the path is no UTF-8; people and JSON could not tell it from others",
        ));
    }
    let arguments = arguments(asked.receive_json().await?)?;
    let was_there = match describe(&line, &name).await {
        Ok(_) => true,
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => false,
        Err(problem) => return Err(problem),
    };
    let declare = DeclareQueue {
        name: name.clone(),
        generated: false,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    };
    line.answer(Standalone::DeclareQueue(declare)).await?;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    Ok(document::json(status, &QueueStatus::from(describe(&line, &name).await?)))
}

/// 200 with the queue's numbers.
pub(super) async fn show(asked: Asked) -> Answer {
    let name = asked.queue()?;
    asked.line.authorise(Right::Read, Target::Queue(&name))?;
    Ok(document::json(StatusCode::OK, &QueueStatus::from(describe(&asked.line, &name).await?)))
}

/// 204 when the queue is gone, with all that was in it.
pub(super) async fn delete(asked: Asked) -> Answer {
    let name = asked.queue()?;
    asked.line.authorise(Right::Configure, Target::Queue(&name))?;
    let (if_unused, if_empty) = (asked.flag("if_unused")?, asked.flag("if_empty")?);
    match asked.line.answer(Standalone::DeleteQueue { name, if_unused, if_empty }).await? {
        CoreAnswer::QueueDeleted { .. } => Ok(document::empty(StatusCode::NO_CONTENT)),
        _ => Err(Problem::internal("another answer than to a deletion")),
    }
}

async fn describe(line: &Arc<Line>, name: &ShortString) -> Result<Box<QueueReport>, Problem> {
    match line.answer(Standalone::DescribeQueue { name: name.clone() }).await? {
        CoreAnswer::Queue(report) => Ok(report),
        _ => Err(Problem::internal("another answer than the description of a queue")),
    }
}

fn arguments(document: QueueDocument) -> Result<Table, Problem> {
    let is_task_queue = document.task_queue.unwrap_or(true);
    let mut arguments = Table::new();
    if is_task_queue {
        arguments.insert(ShortString::from_static("x-task-queue"), Value::Bool(true));
    }
    if let Some(max_length) = document.max_length {
        let number = i64::try_from(max_length).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            invalid(&format!(
                "max_length is {max_length} and has to be 1 to {}; leave it out for no limit",
                i64::MAX
            ))
        })?;
        if !is_task_queue {
            return Err(invalid("max_length is for task queues; leave it out, or set task_queue to true"));
        }
        arguments.insert(ShortString::from_static("x-max-length"), Value::I64(number));
    }
    Ok(arguments)
}

impl From<Box<QueueReport>> for QueueStatus {
    fn from(report: Box<QueueReport>) -> Self {
        Self {
            name: report.name.to_string(),
            durable: report.durable,
            task_queue: report.is_task_queue,
            max_length: report.max_length,
            ready: report.ready,
            running: report.running,
            scheduled: report.scheduled,
            failed: report.failed,
            consumers: report.consumers,
            drain_ms: report.drain_ms,
        }
    }
}

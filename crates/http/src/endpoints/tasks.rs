//! `POST /v1/queues/{queue}/tasks`: adds a task, or several, all or none.

use hyper::StatusCode;
use serde::Serialize;

use crate::document;
use crate::json::{self, Object};
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::{Answer, Problem};
use crate::request::{Asked, unsupported};
use crate::status_document::{StatusDocument, answer_with_result, status_document};
use crate::submission::{Accepted, Submission, Waited};
use crate::task_document::{Draft, TaskDocument};

/// Tasks of one request at most.
const TASKS_MAX: usize = 1000;

/// The answer to a list.
#[derive(Serialize)]
struct TaskList {
    tasks: Vec<StatusDocument>,
}

/// What the request comes down to, when all of it was read.
struct Prepared {
    submission: Submission,
    is_list: bool,
    prefer: Prefer,
    /// Stream the events, with a sign of life this often.
    events: Option<std::time::Duration>,
}

/// 202 when the task is safe; 200 with its result if the client waits for it and it ends in time.
pub(super) async fn answer(asked: Asked) -> Answer {
    // In two steps, so that nothing of the request is in memory while it waits.
    let prepared = Box::pin(prepare(asked)).await?;
    let (prefer, is_list) = (prepared.prefer, prepared.is_list);
    let mut accepted = prepared.submission.send().await?;
    if is_list {
        return Ok(list(&accepted));
    }
    if let Some(keep_alive) = prepared.events {
        return accepted.stream(keep_alive).await;
    }
    let Some(wait) = prefer.wait.filter(|wait| !wait.is_zero()) else {
        return Ok(accepted.answer(accepted.first(), &prefer));
    };
    match accepted.wait(wait).await? {
        Waited::Ended(seen) => {
            let mut response = answer_with_result(&seen);
            if let Some(applied) = prefer.applied() {
                response.headers_mut().insert(PREFERENCE_APPLIED, applied);
            }
            Ok(accepted.marked(response))
        }
        Waited::Late(view) => Ok(accepted.answer(&view, &prefer)),
    }
}

async fn prepare(asked: Asked) -> Result<Prepared, Problem> {
    if !asked.has_json() {
        return Err(unsupported(asked.headers()));
    }
    let (queue, prefer) = (asked.queue()?, asked.prefer()?);
    let events = asked.wants_events().then(|| asked.service.limits().event_keep_alive);
    let (line, headers) = (asked.line.clone(), asked.headers().clone());
    let body = asked.receive().await?;
    // A list looks like one from its first character on; so an error can name the place in the right shape.
    let is_list = body.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let drafts = if is_list { several(&body.bytes)? } else { vec![draft(json::parse(&body.bytes)?, "")?] };
    let watch = !is_list && events.is_none() && prefer.wait.is_some_and(|wait| !wait.is_zero());
    let submission = Submission::new(&line, queue, drafts, &headers)?.watched(watch);
    Ok(Prepared { submission, is_list, prefer, events })
}

fn several(body: &[u8]) -> Result<Vec<Draft>, Problem> {
    let documents: Vec<Object<TaskDocument>> = json::parse(body)?;
    match documents.len() {
        0 => return Err(json::invalid("the list is empty; send at least one task")),
        count if count > TASKS_MAX => {
            let detail =
                format!("the list has {count} tasks, at most {TASKS_MAX} fit into one request; send several");
            return Err(json::invalid(&detail).with("limit", TASKS_MAX));
        }
        _ => {}
    }
    let numbered = documents.into_iter().enumerate();
    numbered.map(|(index, document)| draft(document, &format!("[{index}]: "))).collect()
}

fn draft(Object(document): Object<TaskDocument>, place: &str) -> Result<Draft, Problem> {
    document.into_draft().map_err(|reason| json::invalid(&format!("{place}{reason}")))
}

/// Several tasks are not waited for: their documents, in the order of the request.
fn list(accepted: &Accepted) -> hyper::Response<crate::body::Body> {
    let tasks = accepted.tasks.iter().map(status_document).collect();
    accepted.marked(document::json(StatusCode::ACCEPTED, &TaskList { tasks }))
}

//! `POST /v1/tasks/{id}/cancel`: takes a task back.

use broker::{Answer as CoreAnswer, Standalone, TaskId};
use hyper::StatusCode;

use crate::backend::Right;
use crate::problem::{Answer, Problem};
use crate::request::Asked;
use crate::status_document::answer as status_answer;

/// 202 with the status: the task is cancelled at once, and a worker that has it hears of it. 409 when it has ended.
pub(super) async fn answer(asked: Asked) -> Answer {
    let task: TaskId = asked.id("task-not-found")?;
    asked.line.look_at(task, Right::Write).await?;
    match asked.line.answer(Standalone::Cancel { task }).await? {
        CoreAnswer::Cancelled(view) => Ok(status_answer(StatusCode::ACCEPTED, &view)),
        _ => Err(Problem::internal("another answer than to a cancellation")),
    }
}

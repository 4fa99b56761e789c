//! `GET /v1/tasks/{id}/result`: what the worker left, as it is.

use broker::{TaskId, Until};

use crate::backend::Right;
use crate::line::seen;
use crate::prefer::PREFERENCE_APPLIED;
use crate::problem::Answer;
use crate::request::Asked;
use crate::worker_answer;

/// The worker's bytes with its status; 202 for a task that has not ended, at once or after the wait that was asked for.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (id, prefer): (TaskId, _) = (asked.id("task-not-found")?, asked.prefer()?);
    let line = std::sync::Arc::clone(&asked.line);
    drop(asked);
    let mut found = line.look_at(id, Right::Read).await?;
    if let Some(wait) = prefer.wait.filter(|_| !found.view.state.is_final()) {
        let mut ticket = line.watch(id, Until::Ended).await?;
        found = match tokio::time::timeout(wait, ticket.next()).await {
            Ok(effect) => seen(effect?)?,
            Err(_elapsed) => line.look_at(id, Right::Read).await?,
        };
    }
    let mut response = worker_answer::result(&found, line.now())?;
    if let Some(applied) = prefer.applied() {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

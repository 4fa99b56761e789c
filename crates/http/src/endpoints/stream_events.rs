//! `GET /v1/tasks/{id}/events`: what happens to a task, as it happens.

use broker::TaskId;
use hyper::StatusCode;
use hyper::header::HeaderName;

use crate::backend::Right;
use crate::document;
use crate::event_stream::EventStream;
use crate::problem::Answer;
use crate::request::Asked;

/// The id of the last event that a client has seen, which it sends when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream of events. 204 for a client that has seen the last: that is how `EventSource` is told not to come back.
pub(super) async fn answer(asked: Asked) -> Answer {
    let id: TaskId = asked.id("task-not-found")?;
    let since =
        asked.headers().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let keep_alive = asked.service.limits().event_keep_alive;
    let line = std::sync::Arc::clone(&asked.line);
    drop(asked);
    let found = line.look_at(id, Right::Read).await?;
    if found.view.state.is_final() && since == Some(found.view.version) {
        return Ok(document::empty(StatusCode::NO_CONTENT));
    }
    Ok(EventStream::answer(line, found, since, keep_alive))
}

//! `GET /v1/tasks/{id}`: how a task stands, now or when that changes.

use hyper::StatusCode;
use hyper::header::{ETAG, IF_NONE_MATCH};

use broker::{TaskId, Until};

use crate::backend::Right;
use crate::document;
use crate::entity_tag::{entity_tag, is_known};
use crate::line::{Seen, seen};
use crate::prefer::PREFERENCE_APPLIED;
use crate::problem::Answer;
use crate::request::Asked;
use crate::status_document::answer as status_answer;

/// 200 with the status; 304 for a client that knows it. A client that knows the status may wait for a change, one that
/// does not for the end.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (id, prefer): (TaskId, _) = (asked.id("task-not-found")?, asked.prefer()?);
    let Asked { line, head, .. } = asked;
    let mut found = line.look_at(id, Right::Read).await?;
    let mut known = is_known(&head.headers, found.view.version);
    // Who knows another version has waited long enough.
    let is_news = !known && head.headers.contains_key(IF_NONE_MATCH);
    drop(head);
    let wait = prefer.wait.filter(|wait| !wait.is_zero() && !is_news && !found.view.state.is_final());
    if let Some(wait) = wait {
        let until = if known { Until::Changed { since: found.view.version } } else { Until::Ended };
        let mut ticket = line.watch(id, until).await?;
        match tokio::time::timeout(wait, ticket.next()).await {
            Ok(effect) => (found, known) = (seen(effect?)?, false),
            // Who waited for a change in vain knows the status still; who waited for the end gets the latest.
            Err(_elapsed) if known => {}
            Err(_elapsed) => found = line.look_at(id, Right::Read).await?,
        }
    }
    let mut response = respond(&found, known);
    if let Some(applied) = prefer.applied() {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

fn respond(found: &Seen, known: bool) -> hyper::Response<crate::body::Body> {
    if !known {
        return status_answer(StatusCode::OK, &found.view);
    }
    let mut response = document::empty(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(ETAG, entity_tag(found.view.version));
    response
}

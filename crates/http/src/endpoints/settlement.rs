//! What a worker is told when it has settled a lease.

use std::sync::Arc;

use broker::{Answer as CoreAnswer, Standalone};
use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::document;
use crate::line::Line;
use crate::problem::{Answer, Problem};
use crate::rfc3339::rfc3339;

/// Settles a lease. 200 with where the task stands now; the same answer when it is settled again in the same way.
pub(super) async fn settle(line: &Arc<Line>, operation: Standalone) -> Answer {
    let CoreAnswer::Settled(settlement) = line.answer(operation).await? else {
        return Err(Problem::internal("another answer than to a settlement"));
    };
    let mut members = Map::new();
    members.insert("task".into(), settlement.task.to_string().into());
    members.insert("state".into(), settlement.state.name().into());
    if let Some(due_at) = settlement.due_at {
        members.insert("due_at".into(), rfc3339(due_at).into());
    }
    // A message for a plain queue has no id, and is null.
    let published = settlement.published.iter().map(|id| id.map_or(Value::Null, |id| id.to_string().into()));
    members.insert("published".into(), published.collect());
    Ok(document::json(StatusCode::OK, &members))
}

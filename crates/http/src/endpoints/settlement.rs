//! What a worker is told when it has settled a lease.

use std::sync::Arc;

use broker::{Answer as CoreAnswer, Standalone};
use hyper::StatusCode;
use serde::Serialize;

use crate::document;
use crate::line::Line;
use crate::problem::{Answer, Problem};
use crate::rfc3339::rfc3339;

/// What became of the task.
#[derive(Serialize)]
struct Settled {
    task: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// A message for a plain queue has no id, and is null.
    published: Vec<Option<String>>,
}

/// Settles a lease. 200 with where the task stands now; the same answer when it is settled again in the same way.
pub(super) async fn settle(line: &Arc<Line>, operation: Standalone) -> Answer {
    let CoreAnswer::Settled(settlement) = line.answer(operation).await? else {
        return Err(Problem::internal("another answer than to a settlement"));
    };
    let document = Settled {
        task: settlement.task.to_string(),
        state: settlement.state.name(),
        due_at: settlement.due_at.map(rfc3339),
        published: settlement.published.iter().map(|id| id.map(|id| id.to_string())).collect(),
    };
    Ok(document::json(StatusCode::OK, &document))
}

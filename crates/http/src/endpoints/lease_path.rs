//! The lease that a path names.

use broker::{LeaseId, Refusal};

use crate::problem::Problem;
use crate::refusal;
use crate::request::Asked;

/// The lease in the path. Whoever names it holds the task: it stands for the right to read the queue, which was checked when
/// it was granted.
///
/// # Errors
/// 409 `lease-lost`: what is no lease holds nothing.
pub(super) fn lease(asked: &Asked) -> Result<LeaseId, Problem> {
    let text = asked.variables.first().and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
    text.parse().map_err(|_| refusal::problem(Refusal::LeaseLost { task: None, now: None }))
}

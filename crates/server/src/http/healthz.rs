//! `/healthz`: whether to send clients here.

use hyper::StatusCode;

use super::{Answer, problem, with_type};
use crate::lifecycle::Phase;
use crate::node::Node;

/// 200 while the server serves; 503 with the reason when it stops or has failed.
pub(super) fn answer(node: &Node) -> Answer {
    match node.lifecycle.phase() {
        Phase::Serving => with_type(StatusCode::OK, "application/json", r#"{"status":"ok"}"#.to_owned()),
        Phase::Stopping => problem::answer(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
        Phase::Failed(reason) => problem::answer(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

//! Refusals in the form of RFC 9457.

use hyper::StatusCode;
use serde_json::json;

use super::{Answer, with_type};

/// A refusal with its reason.
pub(super) fn answer(status: StatusCode, detail: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    with_type(status, "application/problem+json", body.to_string())
}

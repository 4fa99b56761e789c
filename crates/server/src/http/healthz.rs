//! `/healthz`: whether to send clients here.

use http_api::Page;
use serde_json::json;

use crate::lifecycle::Phase;
use crate::node::Node;

/// 200 while the server serves; 503 with the reason when it stops or has failed.
pub(super) fn page(node: &Node) -> Page {
    match node.lifecycle.phase() {
        Phase::Serving => {
            // Still alive: a restart would make nothing better, and whoever takes messages has to come here.
            let is_low = node.vhosts.iter().any(|vhost| vhost.storage_is_low());
            let body = if is_low { r#"{"status":"ok","storage":"full"}"# } else { r#"{"status":"ok"}"# };
            Page { status: 200, content_type: "application/json", body: body.into() }
        }
        Phase::Stopping => unwell("/problems/server-stopping", "the server is stopping"),
        Phase::Failed(reason) => unwell("/problems/server-failed", &reason),
    }
}

fn unwell(kind: &str, detail: &str) -> Page {
    let problem = json!({"type": kind, "title": "Service Unavailable", "status": 503, "detail": detail});
    Page { status: 503, content_type: "application/problem+json", body: problem.to_string().into() }
}

//! `PATCH /v1/leases/{id}`: the worker is alive, and says how far it is.

use std::sync::Arc;

use broker::{Answer as CoreAnswer, Standalone};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lease_path::lease;
use super::take_leases::lease_ms;
use crate::document;
use crate::json::invalid;
use crate::problem::{Answer, Problem};
use crate::request::Asked;
use crate::rfc3339::rfc3339;

/// Bytes of progress at most: it is held in memory for each running task.
const PROGRESS_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendDocument {
    extend: Option<String>,
    progress: Option<Value>,
}

/// 200 with the lease's new end, and whether the work is in vain.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (lease, line) = (lease(&asked)?, Arc::clone(&asked.line));
    let ExtendDocument { extend, progress } = asked.receive_json().await?;
    let lease_ms = extend.as_deref().map(|text| lease_ms("extend", text)).transpose()?;
    // Written anew, so that it has no line breaks.
    let progress = progress.map(|progress| progress.to_string());
    if let Some(bytes) = progress.as_ref().map(String::len).filter(|bytes| *bytes > PROGRESS_BYTES_MAX) {
        let detail = format!(
            "progress has {bytes} bytes, at most {PROGRESS_BYTES_MAX} fit; say less, or store it elsewhere"
        );
        return Err(invalid(&detail).with("limit", PROGRESS_BYTES_MAX));
    }
    let extend = Standalone::Extend { lease, lease_ms, progress: progress.map(Into::into) };
    match line.answer(extend).await? {
        CoreAnswer::LeaseExtended { expires_at, cancelled } => {
            let document = json!({"expires_at": rfc3339(expires_at), "cancel": cancelled});
            Ok(document::json(StatusCode::OK, &document))
        }
        _ => Err(Problem::internal("another answer than to an extension")),
    }
}

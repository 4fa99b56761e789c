//! `POST /v1/leases/{id}/release`: the worker gives a task back unharmed.

use std::sync::Arc;

use broker::Standalone;
use serde::Deserialize;

use super::lease_path::lease;
use super::settlement::settle;
use crate::duration;
use crate::json::invalid;
use crate::problem::Answer;
use crate::request::Asked;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseDocument {
    delay: Option<String>,
}

/// 200 with where the task stands now. It counts neither as an attempt nor as a crash.
pub(super) async fn answer(asked: Asked) -> Answer {
    let (lease, line) = (lease(&asked)?, Arc::clone(&asked.line));
    let ReleaseDocument { delay } = asked.receive_json().await?;
    let delay_ms = delay.as_deref().map(duration::parse).transpose();
    let delay_ms = delay_ms.map_err(|reason| invalid(&format!("delay: {reason}")))?.unwrap_or(0);
    settle(&line, Standalone::Release { lease, delay_ms }).await
}

//! The web service: does the minimum, and answers.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use forebay_client::{CallError, Client, SendError, TaskId};
use serde_json::json;

use crate::sms::SendSms;

/// How long a caller is kept waiting for a receipt. Most proxies cut a request at 60 s.
const WAIT: Duration = Duration::from_secs(5);

/// The routes of the service.
pub fn router(client: Client) -> Router {
    Router::new().route("/sms", post(enqueue)).route("/sms/wait", post(send_and_wait)).with_state(client)
}

/// Puts the task into the queue and answers. When it answers, the task is on disk: it will be done, whatever crashes.
async fn enqueue(State(client): State<Client>, headers: HeaderMap, Json(sms): Json<SendSms>) -> Response {
    let mut task = client.send(sms);
    // A caller that got no answer asks again with the same key, and there is one task all the same.
    if let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) {
        task = task.idempotency_key(key);
    }
    match task.await {
        Ok(id) => accepted(id),
        Err(error) => unavailable(&error),
    }
}

/// The same task, and the worker's answer on this very connection.
async fn send_and_wait(State(client): State<Client>, Json(sms): Json<SendSms>) -> Response {
    match client.call(sms).timeout(WAIT).await {
        Ok(receipt) => Json(receipt).into_response(),
        // It goes on, and its result can be fetched from the broker by this id.
        Err(CallError::Late { task_id, .. }) => accepted(task_id),
        Err(CallError::Failed { failure, .. }) => {
            let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, "application/problem+json")], failure.body).into_response()
        }
        Err(CallError::Send(error)) => unavailable(&error),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn accepted(id: TaskId) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "task": id.to_string() }))).into_response()
}

fn unavailable(error: &SendError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], error.to_string()).into_response()
}

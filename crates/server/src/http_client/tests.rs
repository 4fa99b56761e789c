//! Calls against a server that does what servers do.

use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};

use super::fetch::Persistence;
use super::stub::{Reaction, Stub, answer, problem};
use super::*;

const TASK: &str = "0199c3a0-0000-7000-8000-000000000001";
const LONG: Duration = Duration::from_secs(20);

fn call(wait: Duration) -> Call {
    Call {
        queue: "render".to_owned(),
        name: Some(HeaderValue::from_static("page.render")),
        content_type: HeaderValue::from_static("text/plain"),
        body: "page 1".into(),
        key: HeaderValue::from_static("k1"),
        wait,
    }
}

async fn make(stub: &Stub, wait: Duration) -> (Ending, usize) {
    let mut troubles = 0;
    let ending = call(wait).make(&mut Connection::new(stub.access()), |_| troubles += 1).await;
    (ending, troubles)
}

fn late() -> Reaction {
    answer(202, &[("location", &format!("/v1/tasks/{TASK}")), ("task-id", TASK)], "{}")
}

#[tokio::test]
async fn a_call_carries_what_the_worker_needs_and_returns_its_bytes() {
    let stub = Stub::script(vec![answer(200, &[("task-id", TASK)], &b"\x89PNG"[..])]).await;
    let (ending, _) = make(&stub, LONG).await;
    assert!(matches!(ending, Ending::Succeeded(answer) if answer.body == b"\x89PNG"[..]));
    let seen = &stub.seen()[0];
    assert_eq!(seen.line, "POST /v1/queues/render/call");
    assert_eq!(seen.body, "page 1");
    for (header, value) in [
        ("content-type", "text/plain"),
        ("task-name", "page.render"),
        ("idempotency-key", "k1"),
        ("prefer", "wait=20"),
    ] {
        assert_eq!(seen.header(header), value, "{header}");
    }
}

#[tokio::test]
async fn a_call_whose_line_breaks_is_repeated_with_the_same_key() {
    let stub = Stub::script(vec![
        Reaction::Hangup,
        Reaction::Hangup,
        problem(503, &[], "stopping", ""),
        answer(200, &[("task-id", TASK)], "done"),
    ])
    .await;
    let (ending, troubles) = make(&stub, LONG).await;
    assert!(matches!(ending, Ending::Succeeded(answer) if answer.body == "done"));
    assert_eq!(troubles, 3);
    assert!(stub.seen().iter().all(|seen| seen.header("idempotency-key") == "k1" && seen.body == "page 1"));
}

#[tokio::test]
async fn a_server_that_waits_less_long_than_the_caller_is_asked_again() {
    let stub = Stub::script(vec![late(), late(), answer(200, &[("task-id", TASK)], "done")]).await;
    let (ending, _) = make(&stub, LONG).await;
    assert!(matches!(ending, Ending::Succeeded(_)));
    let lines: Vec<_> = stub.seen().into_iter().map(|seen| seen.line).collect();
    let fetch = format!("GET /v1/tasks/{TASK}/result");
    assert_eq!(lines, ["POST /v1/queues/render/call", &fetch, &fetch]);
}

#[tokio::test]
async fn a_task_that_is_late_is_named() {
    let stub = Stub::script(vec![late()]).await;
    let (ending, _) = make(&stub, Duration::ZERO).await;
    assert!(matches!(ending, Ending::Late { task } if task == TASK));
    assert_eq!(stub.seen()[0].header("prefer"), "wait=0");
}

#[tokio::test]
async fn who_does_not_wait_gets_the_result_of_a_task_that_has_ended_already() {
    let described = answer(200, &[("location", &format!("/v1/tasks/{TASK}")), ("task-id", TASK)], "{}");
    let stub = Stub::script(vec![described, answer(200, &[("task-id", TASK)], "done")]).await;
    let (ending, _) = make(&stub, Duration::ZERO).await;
    assert!(matches!(ending, Ending::Succeeded(answer) if answer.body == "done"));
}

#[tokio::test]
async fn the_failure_of_a_task_is_told_from_the_refusal_of_a_request() {
    let stub = Stub::script(vec![problem(422, &[("task-id", TASK)], "task-failed", "bad size")]).await;
    let (ending, _) = make(&stub, LONG).await;
    assert!(
        matches!(ending, Ending::Failed(problem) if problem.detail == "bad size" && problem.status == 422)
    );

    // A worker that answers 503 has answered.
    let stub = Stub::script(vec![problem(503, &[("task-id", TASK)], "task-failed", "no gateway")]).await;
    assert!(matches!(make(&stub, LONG).await.0, Ending::Failed(_)));

    let stub = Stub::script(vec![problem(404, &[], "queue-not-found", "no queue 'render'")]).await;
    let (ending, _) = make(&stub, LONG).await;
    assert!(matches!(ending, Ending::Refused(problem) if problem.is("queue-not-found")));
}

#[tokio::test]
async fn a_full_queue_is_tried_again_if_there_is_time() {
    let full = || problem(429, &[("retry-after", "1")], "queue-full", "");
    let stub = Stub::script(vec![full(), answer(200, &[("task-id", TASK)], "done")]).await;
    assert!(matches!(make(&stub, LONG).await, (Ending::Succeeded(_), 1)));

    let stub = Stub::script(vec![full()]).await;
    let (ending, _) = make(&stub, Duration::from_millis(500)).await;
    assert!(matches!(ending, Ending::Refused(problem) if problem.is("queue-full")));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let stub = Stub::script(vec![]).await;
    let access = stub.access();
    drop(stub);
    let ending = call(LONG).make(&mut Connection::new(access), |_| {}).await;
    assert!(matches!(ending, Ending::Unanswered(HttpError::Unreachable { .. })), "{ending:?}");
}

#[tokio::test]
async fn a_server_that_was_there_is_waited_for() {
    let stub = Stub::start(|_| answer(200, &[], "")).await;
    let mut connection = Connection::new(stub.access());
    let mut troubles = 0;
    let mut persistence = Persistence::new(&mut connection, Duration::from_millis(300), |_| troubles += 1);
    let request = Request::new(Method::GET, "/");
    assert!(persistence.ask(&request).await.is_ok());
    drop(stub);
    let ending = persistence.ask(&request).await.unwrap_err();
    assert!(matches!(ending, Ending::Unanswered(HttpError::Unreachable { .. })), "{ending:?}");
    assert!(troubles > 1, "{troubles}");
}

#[tokio::test]
async fn lines_that_go_on_breaking_are_given_up_when_the_time_is_up() {
    let stub = Stub::start(|_| Reaction::Hangup).await;
    let (ending, troubles) = make(&stub, Duration::from_millis(300)).await;
    assert!(matches!(ending, Ending::Unanswered(HttpError::Broken { .. })), "{ending:?}");
    assert!(troubles >= 1);
}

#[tokio::test]
async fn one_line_serves_request_after_request() {
    let stub = Stub::start(|seen| answer(200, &[], seen.line.clone())).await;
    let mut connection = Connection::new(stub.access());
    for path in ["/a", "/b"] {
        let answer = connection.ask(&Request::new(Method::GET, path), LONG).await.unwrap();
        assert_eq!((answer.status, answer.body), (StatusCode::OK, format!("GET {path}").into()));
    }
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let stub = Stub::script(vec![Reaction::Silence, answer(200, &[], "")]).await;
    let mut connection = Connection::new(stub.access());
    let request = Request::new(Method::GET, "/");
    let error = connection.ask(&request, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, HttpError::Silent { .. }));
    assert_eq!(connection.ask(&request, LONG).await.unwrap().status, StatusCode::OK);
}

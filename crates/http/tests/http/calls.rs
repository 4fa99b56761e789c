//! Calls: a request in, a worker's answer out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::support::{World, get, post, until};

#[tokio::test]
async fn a_caller_gets_the_workers_bytes() {
    let world = World::new();
    world.queue("q").await;
    let call = post("/v1/queues/q/call").header("content-type", "image/x-raw").header("task-name", "render");
    let (told, lease) = tokio::join!(world.ask(call.body(&b"\x00\xff"[..])), async {
        let lease = world.lease("q").await;
        world.complete(&lease, "<b>hi</b>").await;
        lease
    });
    assert_eq!((told.status, told.text(), told.header("content-type")), (200, "<b>hi</b>", "text/plain"));
    assert_eq!(told.header("task-id"), lease["task"]["id"]);
    assert_eq!(
        (told.header("x-content-type-options"), told.header("content-security-policy")),
        ("nosniff", "sandbox")
    );
    assert_eq!(
        (&lease["task"]["name"], &lease["task"]["payload_base64"]),
        (&json!("render"), &json!("AP8="))
    );
    assert_eq!(lease["task"]["content_type"], "image/x-raw");
}

#[tokio::test]
async fn a_worker_chooses_the_status() {
    let world = World::new();
    world.queue("q").await;
    for (settle, content_type, body, status, expected_type) in [
        ("complete", "text/plain", "", 204, ""),
        ("complete", "application/json", r#"{"result":[1]}"#, 200, "application/json"),
        ("complete", "application/json", r#"{"result":[1],"status":201}"#, 201, "application/json"),
        ("complete", "application/json", "{}", 204, ""),
        ("complete", "application/json", r#"{"result":"no","status":422}"#, 422, "application/problem+json"),
        (
            "fail",
            "application/json",
            r#"{"error":{"title":"bad size","status":413},"retry":false}"#,
            413,
            "application/problem+json",
        ),
        ("fail", "application/json", r#"{"retry":false}"#, 500, "application/problem+json"),
    ] {
        let (told, ()) = tokio::join!(world.ask(post("/v1/queues/q/call")), async {
            let path = format!("/v1/leases/{}/{settle}", world.lease("q").await["lease"].as_str().unwrap());
            let told = world.ask(post(&path).header("content-type", content_type).body(body)).await;
            assert_eq!(told.status, 200, "{told:?}");
        });
        assert_eq!(
            (told.status, told.header("content-type")),
            (status, expected_type),
            "{settle} {body}: {told:?}"
        );
        if expected_type == "application/problem+json" {
            told.expect_problem(status, "task-failed");
        }
    }
}

#[tokio::test]
async fn a_raw_result_may_have_a_status() {
    let world = World::new();
    world.queue("q").await;
    let (told, ()) = tokio::join!(world.ask(post("/v1/queues/q/call")), async {
        let path = format!("/v1/leases/{}/complete", world.lease("q").await["lease"].as_str().unwrap());
        let raw = |status| {
            post(&path).header("task-status", status).header("content-type", "text/html").body("made")
        };
        world.ask(raw("99")).await.expect_problem(422, "invalid-request");
        world.ask(raw("2e2")).await.expect_problem(422, "invalid-request");
        assert_eq!(world.ask(raw("201")).await.status, 200);
    });
    assert_eq!((told.status, told.text()), (201, "made"));
}

#[tokio::test]
async fn a_problem_is_a_raw_result_and_not_a_document_of_ours() {
    let world = World::new();
    world.queue("q").await;
    let problem = r#"{"type":"/bad-size","title":"Bad size"}"#;
    let (told, ()) = tokio::join!(world.ask(post("/v1/queues/q/call")), async {
        let path = format!("/v1/leases/{}/complete", world.lease("q").await["lease"].as_str().unwrap());
        let complete = |status| {
            let ask = post(&path).header("content-type", "application/problem+json");
            ask.header("task-status", status).body(problem)
        };
        let wrong = world.ask(complete("99")).await.expect_problem(422, "invalid-request");
        assert!(wrong["detail"].as_str().unwrap().contains("Task-Status is 99"), "{wrong}");
        assert_eq!(world.ask(complete("409")).await.status, 200);
    });
    assert_eq!((told.status, told.text()), (409, problem));
    assert_eq!(told.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_worker_hears_how_a_payload_is_packed() {
    let world = World::new();
    world.queue("q").await;
    let call = post("/v1/queues/q/call").header("prefer", "respond-async").header("content-encoding", "gzip");
    assert_eq!(world.ask(call.header("content-type", "application/json").body("packed")).await.status, 202);
    let task = world.lease("q").await["task"].clone();
    assert_eq!((&task["content_encoding"], &task["payload_base64"]), (&"gzip".into(), &"cGFja2Vk".into()));
}

#[tokio::test]
async fn a_late_caller_gets_the_place_and_the_task_goes_on() {
    let world = World::new();
    world.queue("q").await;
    let told = world.ask(post("/v1/queues/q/call").header("prefer", "wait=1")).await;
    assert_eq!(
        (told.status, told.header("preference-applied"), told.header("retry-after")),
        (202, "wait=1", "1")
    );
    world.complete(&world.lease("q").await, "x").await;
    let result = format!("{}/result", told.header("location"));
    assert_eq!(world.ask(get(&result)).await.text(), "x");
    let told = world.ask(post("/v1/queues/q/call").header("prefer", "respond-async")).await;
    assert_eq!((told.status, told.header("preference-applied")), (202, "respond-async"));
}

#[tokio::test]
async fn a_caller_whose_line_broke_finds_the_same_task() {
    let world = World::new();
    world.queue("q").await;
    let call = || post("/v1/queues/q/call").header("idempotency-key", "k").body("work");
    let mut client = world.client().await;
    let parked = tokio::spawn(async move {
        let _ = client.send(call()).await;
        client
    });
    let lease = world.lease("q").await;
    parked.abort();
    let (told, ()) = tokio::join!(world.ask(call()), world.complete(&lease, "done"));
    assert_eq!((told.status, told.text(), told.header("idempotency-replayed")), (200, "done", "true"));
    // And again, when all is over.
    assert_eq!(world.ask(call()).await.text(), "done");
}

#[tokio::test]
async fn many_calls_wait_on_one_connection_of_http2() {
    let world = World::new();
    world.queue("q").await;
    let client = world.client2().await;
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..300_u32 {
        let mut client = client.again();
        answers.spawn(async move {
            (number, client.ask(post("/v1/queues/q/call").body(format!("{number}"))).await)
        });
    }
    let worker = async {
        let mut done = 0;
        while done < 300 {
            let ask = post("/v1/queues/q/leases").header("prefer", "wait=5").json(r#"{"max":100}"#);
            for lease in world.ask(ask).await.json()["leases"].as_array().unwrap() {
                let path = format!("/v1/leases/{}/complete", lease["lease"].as_str().unwrap());
                let echo = lease["task"]["payload_base64"].as_str().unwrap().to_owned();
                assert_eq!(
                    world.ask(post(&path).header("content-type", "text/plain").body(echo)).await.status,
                    200
                );
                done += 1;
            }
        }
    };
    worker.await;
    while let Some(answer) = answers.join_next().await {
        let (number, told) = answer.unwrap();
        assert_eq!(told.status, 200);
        assert_eq!(told.text(), BASE64.encode(number.to_string()));
    }
}

#[tokio::test]
async fn a_call_that_needs_a_worker_does_not_wait_for_one() {
    let world = World::new();
    world.queue("q").await;
    let call = || post("/v1/queues/q/call?require_worker=true");
    let told = world.ask(call()).await;
    told.expect_problem(503, "no-worker");
    assert_eq!(told.header("retry-after"), "5");
    world.ask(post("/v1/queues/q/call?require_worker=maybe")).await.expect_problem(400, "bad-query");
    // Somebody who waits for leases is a worker.
    let working = async { world.complete(&world.lease("q").await, "x").await };
    let calling = async {
        loop {
            let told = world.ask(call()).await;
            if told.status != 503 {
                return told;
            }
        }
    };
    assert_eq!(tokio::join!(calling, working).0.text(), "x");
}

#[tokio::test]
async fn a_stop_answers_those_who_wait() {
    let world = World::new();
    world.queue("q").await;
    let mut client = world.client().await;
    let parked = tokio::spawn(async move { client.ask(post("/v1/queues/q/call")).await });
    let lease = world.lease("q").await;
    world.stop();
    let told = parked.await.unwrap();
    let problem = told.expect_problem(503, "server-stopping");
    assert_eq!(problem["task"], lease["task"]["id"]);
    assert_eq!(told.header("location"), format!("/v1/tasks/{}", lease["task"]["id"].as_str().unwrap()));
    assert!(told.header("retry-after").parse::<u64>().unwrap() > 0);
    until(|| world.connections() == 0).await;
}

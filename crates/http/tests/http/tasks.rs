//! Tasks: added, looked at, waited for, taken back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{World, get, post, put};

#[tokio::test]
async fn a_task_is_accepted_and_followed_to_its_result() {
    let world = World::new();
    world.queue("q").await;
    let document =
        r#"{"name":"sms.send","payload":{"to":"+1"},"headers":{"k":[1,null]},"options":{"max_attempts":3}}"#;
    let told = world.ask(post("/v1/queues/q/tasks").json(document)).await;
    assert_eq!(told.status, 202, "{told:?}");
    let (task, place) = (told.json(), told.header("location").to_owned());
    assert_eq!(place, format!("/v1/tasks/{}", task["id"].as_str().unwrap()));
    assert_eq!((told.header("retry-after"), told.header("task-id")), ("1", task["id"].as_str().unwrap()));
    assert_eq!(
        (&task["state"], &task["name"], &task["max_attempts"]),
        (&json!("ready"), &json!("sms.send"), &json!(3))
    );
    assert_eq!(world.ask(get(&format!("{place}/result"))).await.status, 202);

    let lease = world.lease("q").await;
    assert_eq!(lease["task"]["payload"], json!({"to": "+1"}));
    assert_eq!(lease["task"]["headers"], json!({"k": [1, null]}));
    let running = world.ask(get(&place)).await.json();
    assert_eq!((&running["state"], &running["worker"]), (&json!("running"), &json!("w")));
    world.complete(&lease, "sent").await;

    let ended = world.ask(get(&place)).await.json();
    assert_eq!((&ended["state"], &ended["status"]), (&json!("succeeded"), &json!(200)));
    assert!(ended["ended_at"].is_string() && ended["kept_until"].is_string(), "{ended}");
    for _ in 0..2 {
        let result = world.ask(get(&format!("{place}/result"))).await;
        assert_eq!(
            (result.status, result.text(), result.header("content-type")),
            (200, "sent", "text/plain")
        );
        assert_eq!(result.header("x-content-type-options"), "nosniff");
        assert_eq!(result.header("content-security-policy"), "sandbox");
    }
}

#[tokio::test]
async fn several_tasks_come_all_or_none() {
    let world = World::new();
    world.queue("q").await;
    let told = world.ask(post("/v1/queues/q/tasks").json(r#"[{"payload":1},{"payload":2}]"#)).await;
    assert_eq!((told.status, told.json()["tasks"].as_array().unwrap().len()), (202, 2));
    let wrong = r#"[{"payload":1},{"options":{"delay":"soon"}}]"#;
    let problem =
        world.ask(post("/v1/queues/q/tasks").json(wrong)).await.expect_problem(422, "invalid-request");
    assert!(problem["detail"].as_str().unwrap().contains("[1]"), "{problem}");
    world.ask(post("/v1/queues/q/tasks").json("[]")).await.expect_problem(422, "invalid-request");
    let many = format!("[{}]", vec!["{}"; 1001].join(","));
    let problem =
        world.ask(post("/v1/queues/q/tasks").json(many)).await.expect_problem(422, "invalid-request");
    assert_eq!(problem["limit"], 1000);
    assert_eq!(world.ask(get("/v1/queues/q")).await.json()["ready"], 2);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let world = World::new();
    assert_eq!(world.ask(put("/v1/queues/q").json(r#"{"max_length": 1}"#)).await.status, 201);
    assert_eq!(world.ask(post("/v1/queues/q/tasks").json("{}")).await.status, 202);
    let told = world.ask(post("/v1/queues/q/tasks").json("{}")).await;
    let problem = told.expect_problem(429, "queue-full");
    assert_eq!((&problem["backlog"], &problem["limit"]), (&json!(1), &json!(1)));
    assert!(told.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_repeated_request_is_the_same_request() {
    let world = World::new();
    world.queue("q").await;
    let send = |payload: &str| {
        post("/v1/queues/q/tasks")
            .header("idempotency-key", "\"k\"")
            .json(format!(r#"{{"payload":{payload}}}"#))
    };
    let first = world.ask(send("1")).await;
    let again = world.ask(send("1").header("traceparent", "00-a-b-01")).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(first.header("idempotency-replayed"), "");
    let problem = world.ask(send("2")).await.expect_problem(422, "idempotency-key-reused");
    assert_eq!(problem["task"], first.json()["id"]);
    let wrong = post("/v1/queues/q/tasks").header("idempotency-key", "\"open").json("{}");
    world.ask(wrong).await.expect_problem(400, "bad-idempotency-key");
    world.complete(&world.lease("q").await, "done").await;
    // 200: the task has ended.
    assert_eq!(world.ask(send("1")).await.json()["state"], "succeeded");
    assert_eq!(world.ask(send("1")).await.status, 200);
}

#[tokio::test]
async fn who_waits_gets_the_outcome_or_the_place() {
    let world = World::new();
    world.queue("q").await;
    let late =
        world.ask(post("/v1/queues/q/tasks").header("prefer", "respond-async, wait=1").json("{}")).await;
    assert_eq!((late.status, late.header("preference-applied")), (202, "respond-async, wait=1"));
    world.complete(&world.lease("q").await, "late").await;

    let waiting =
        async { world.ask(post("/v1/queues/q/tasks").header("prefer", "wait=10").json("{}")).await };
    let working = async {
        let lease = world.lease("q").await;
        let path = format!("/v1/leases/{}/complete", lease["lease"].as_str().unwrap());
        world.ask(post(&path).json(r#"{"result":{"n":1}}"#)).await
    };
    let (told, _) = tokio::join!(waiting, working);
    assert_eq!((told.status, told.header("preference-applied")), (200, "wait=10"));
    assert_eq!((&told.json()["state"], &told.json()["result"]), (&json!("succeeded"), &json!({"n": 1})));
}

#[tokio::test]
async fn a_known_status_is_waited_upon_until_it_changes() {
    let world = World::new();
    world.queue("q").await;
    let place = world.ask(post("/v1/queues/q/tasks").json("{}")).await.header("location").to_owned();
    let release = format!("/v1/leases/{}/release", world.lease("q").await["lease"].as_str().unwrap());
    assert_eq!(world.ask(post(&release)).await.status, 200);
    let tag = world.ask(get(&place)).await.header("etag").to_owned();
    let known = || get(&place).header("if-none-match", &tag);
    let told = world.ask(known()).await;
    assert_eq!((told.status, told.header("etag"), told.body.len()), (304, tag.as_str(), 0));
    let started = Instant::now();
    assert_eq!(world.ask(known().header("prefer", "wait=1")).await.status, 304);
    assert!(started.elapsed() >= Duration::from_millis(950));
    // Not known: at once.
    let started = Instant::now();
    let other = get(&place).header("if-none-match", "\"1\"").header("prefer", "wait=10");
    assert_eq!(world.ask(other).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));

    let (told, lease) = tokio::join!(world.ask(known().header("prefer", "wait=10")), world.lease("q"));
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("running")));
    let ended = async { world.ask(get(&place).header("prefer", "wait=10")).await };
    let result = async { world.ask(get(&format!("{place}/result")).header("prefer", "wait=10")).await };
    let (ended, result, ()) = tokio::join!(ended, result, world.complete(&lease, "x"));
    assert_eq!(ended.json()["state"], "succeeded");
    assert_eq!((result.status, result.text()), (200, "x"));
}

#[tokio::test]
async fn a_cancelled_task_is_gone_for_good() {
    let world = World::new();
    world.queue("q").await;
    let place = world.ask(post("/v1/queues/q/tasks").json("{}")).await.header("location").to_owned();
    let lease = world.lease("q").await;
    let told = world.ask(post(&format!("{place}/cancel"))).await;
    assert_eq!((told.status, &told.json()["state"]), (202, &json!("cancelled")));
    let problem = world.ask(post(&format!("{place}/cancel"))).await.expect_problem(409, "task-ended");
    assert_eq!(problem["state"], "cancelled");
    world.ask(get(&format!("{place}/result"))).await.expect_problem(410, "task-cancelled");
    let own = format!("/v1/leases/{}", lease["lease"].as_str().unwrap());
    let beat = world.ask(crate::support::patch(&own).json("{}")).await;
    assert_eq!((beat.status, &beat.json()["cancel"]), (200, &json!(true)), "{beat:?}");
    let told = world.ask(post(&format!("{own}/complete"))).await;
    assert_eq!(told.status, 409, "{told:?}");
}

#[tokio::test]
async fn a_task_that_is_too_late_has_expired() {
    let world = World::new();
    world.queue("q").await;
    let document = r#"{"options":{"ttl":"20ms"}}"#;
    let told = world.ask(post("/v1/queues/q/tasks").header("prefer", "wait=10").json(document)).await;
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("expired")), "{told:?}");
    let result = format!("{}/result", told.json()["links"]["self"].as_str().unwrap());
    world.ask(get(&result)).await.expect_problem(504, "task-expired");
}

#[tokio::test]
async fn a_delayed_task_says_when_to_look_again() {
    let world = World::new();
    world.queue("q").await;
    let told = world.ask(post("/v1/queues/q/tasks").json(r#"{"options":{"delay":"90s"}}"#)).await;
    assert_eq!(told.json()["state"], "scheduled");
    assert!(told.json()["due_at"].is_string());
    assert!((89..=90).contains(&told.header("retry-after").parse::<u64>().unwrap()), "{told:?}");
}

#[tokio::test]
async fn tasks_that_nobody_has_are_not_found() {
    let world = World::new();
    let unknown = "/v1/tasks/01934c3a-7e2b-7c1d-9f00-5a2b3c4d5e6f";
    for ask in [
        get(unknown),
        get("/v1/tasks/7"),
        get(&format!("{unknown}/result")),
        get(&format!("{unknown}/events")),
        post(&format!("{unknown}/cancel")),
    ] {
        world.ask(ask).await.expect_problem(404, "task-not-found");
    }
}

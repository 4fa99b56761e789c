//! Queues and messages.

use serde_json::json;

use crate::support::{World, delete, get, post, put};

#[tokio::test]
async fn a_queue_is_made_once_and_described() {
    let world = World::new();
    let told = world.ask(put("/v1/queues/q").json(r#"{"max_length": 5}"#)).await;
    assert_eq!(told.status, 201, "{told:?}");
    let document = told.json();
    assert_eq!(document["task_queue"], true);
    assert_eq!(document["max_length"], 5);
    assert_eq!(world.ask(put("/v1/queues/q").json(r#"{"max_length": 5}"#)).await.status, 200);
    let problem = world.ask(put("/v1/queues/q")).await.expect_problem(409, "queue-exists-otherwise");
    assert_eq!(problem["argument"], "x-max-length");
    let plain = put("/v1/queues/q").json(r#"{"task_queue": false}"#);
    let problem = world.ask(plain).await.expect_problem(409, "queue-exists-otherwise");
    assert_eq!(problem["argument"], "x-task-queue");
    assert_eq!(world.ask(get("/v1/queues/q")).await.json(), document);
    assert_eq!(world.ask(delete("/v1/queues/q")).await.status, 204);
    world.ask(get("/v1/queues/q")).await.expect_problem(404, "queue-not-found");
    world.ask(delete("/v1/queues/q")).await.expect_problem(404, "queue-not-found");
}

#[tokio::test]
async fn names_are_decoded() {
    let world = World::new();
    let told = world.ask(put("/v1/queues/a%2Fb%20%C3%A9")).await;
    assert_eq!(told.json()["name"], "a/b \u{e9}");
    let long = "q".repeat(256);
    world.ask(put(&format!("/v1/queues/{long}"))).await.expect_problem(422, "invalid-request");
    world.ask(put("/v1/queues/amq.mine")).await.expect_problem(403, "reserved-name");
    world.ask(put("/v1/queues/%ff")).await.expect_problem(422, "invalid-request");
    // Only AMQP has queues that the broker names.
    for ask in [put("/v1/queues/"), get("/v1/queues/"), delete("/v1/queues/"), post("/v1/queues//call")] {
        world.ask(ask).await.expect_problem(422, "invalid-request");
    }
}

#[tokio::test]
async fn a_misspelt_condition_deletes_nothing() {
    let world = World::new();
    world.queue("q").await;
    assert_eq!(world.ask(post("/v1/queues/q/tasks").json("{}")).await.status, 202);
    let problem = world.ask(delete("/v1/queues/q?ifempty=true")).await.expect_problem(400, "bad-query");
    assert!(problem["detail"].as_str().unwrap().contains("if_unused, if_empty"), "{problem}");
    world.ask(delete("/v1/queues/q?if_empty=1")).await.expect_problem(400, "bad-query");
    world.ask(delete("/v1/queues/q?if_empty=true")).await.expect_problem(409, "queue-not-empty");
    world.ask(get("/v1/queues/q?x")).await.expect_problem(400, "bad-query");
    assert_eq!(world.ask(delete("/v1/queues/q?if_empty=false&if_unused=true")).await.status, 204);
}

#[tokio::test]
async fn a_message_with_a_key_becomes_one_task() {
    let world = World::new();
    world.queue("q").await;
    let publish = || {
        post("/v1/exchanges/amq.default/messages").header("routing-key", "q").header("idempotency-key", "k")
    };
    for _ in 0..2 {
        assert_eq!(world.ask(publish().body("hello")).await.status, 204);
    }
    assert_eq!(world.ask(get("/v1/queues/q")).await.json()["ready"], 1);
    let long = publish().header("idempotency-key", &"k".repeat(256));
    world.ask(long).await.expect_problem(400, "bad-idempotency-key");
}

#[tokio::test]
async fn queues_that_cannot_be_are_refused() {
    let world = World::new();
    for document in [
        r#"{"max_length": 0}"#,
        r#"{"max_length": -1}"#,
        r#"{"max_length": 18446744073709551615}"#,
        r#"{"task_queue": false, "max_length": 3}"#,
        r#"{"durable": true}"#,
        r#"{"task_queue": "yes"}"#,
    ] {
        world.ask(put("/v1/queues/q").json(document)).await.expect_problem(422, "invalid-request");
    }
}

#[tokio::test]
async fn messages_are_published_and_have_to_arrive() {
    let world = World::new();
    assert_eq!(world.ask(put("/v1/queues/plain").json(r#"{"task_queue": false}"#)).await.status, 201);
    for exchange in ["amq.default", "amq.direct", ""] {
        let path = format!("/v1/exchanges/{exchange}/messages");
        let told = world.ask(post(&path).header("routing-key", "plain").body("hello")).await;
        let is_bound = exchange != "amq.direct";
        assert_eq!(told.status, if is_bound { 204 } else { 404 }, "{exchange}: {told:?}");
        if !is_bound {
            told.expect_problem(404, "unroutable");
        }
    }
    assert_eq!(world.ask(get("/v1/queues/plain")).await.json()["ready"], 2);
    world.ask(post("/v1/exchanges/nope/messages")).await.expect_problem(404, "exchange-not-found");
    // Tasks need a queue for tasks.
    let told = world.ask(post("/v1/queues/plain/tasks").json("{}")).await;
    assert_eq!(told.expect_problem(409, "not-a-task-queue")["queue"], "plain");
    world.ask(post("/v1/queues/plain/leases")).await.expect_problem(409, "not-a-task-queue");
}

#[tokio::test]
async fn a_published_message_is_a_task_on_a_task_queue() {
    let world = World::new();
    world.queue("q").await;
    let publish =
        post("/v1/exchanges/amq.default/messages").header("routing-key", "q").header("task-name", "greet");
    assert_eq!(world.ask(publish.header("content-type", "application/json").body("[1]")).await.status, 204);
    let lease = world.lease("q").await;
    assert_eq!((&lease["task"]["name"], &lease["task"]["payload"]), (&json!("greet"), &json!([1])));
}

#[tokio::test]
async fn what_holds_the_journal_is_told_once_there_is_a_checkpoint() {
    let world = World::new();
    let problem = world.ask(get("/v1/pins")).await.expect_problem(503, "pins-unknown");
    assert_eq!(problem["detail"], "there is no checkpoint yet");
    world.checkpoint().await;
    let told = world.ask(get("/v1/pins")).await;
    assert_eq!((told.status, &told.json()["files"]), (200, &json!([])), "{told:?}");
    assert!(told.json()["as_of"].as_str().unwrap().starts_with("20"), "{told:?}");
    world.ask(get("/v1/pins?vhost=x")).await.expect_problem(400, "bad-query");
}

//! Leases: tasks taken, kept, settled and lost.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{World, get, patch, post, until};

async fn task(world: &World) -> String {
    world.ask(post("/v1/queues/q/tasks").json("{}")).await.header("location").to_owned()
}

fn path(lease: &serde_json::Value) -> String {
    format!("/v1/leases/{}", lease["lease"].as_str().unwrap())
}

#[tokio::test]
async fn tasks_are_taken_several_at_once_and_waited_for() {
    let world = World::new();
    world.queue("q").await;
    let told = world.ask(post("/v1/queues/q/leases")).await;
    assert_eq!(told.json(), json!({"leases": []}));
    for _ in 0..3 {
        task(&world).await;
    }
    let told = world.ask(post("/v1/queues/q/leases").json(r#"{"max":2,"lease":"60s"}"#)).await;
    assert_eq!(told.json()["leases"].as_array().unwrap().len(), 2);
    let told = world.ask(post("/v1/queues/q/leases").header("prefer", "wait=5").json(r#"{"max":2}"#)).await;
    assert_eq!(told.json()["leases"].as_array().unwrap().len(), 1);
    assert_eq!(told.header("preference-applied"), "wait=5");
    let started = Instant::now();
    let told = world.ask(post("/v1/queues/q/leases").header("prefer", "wait=1")).await;
    assert_eq!(told.json(), json!({"leases": []}));
    assert!(started.elapsed() >= Duration::from_millis(950));
}

#[tokio::test]
async fn wrong_wishes_for_leases_are_refused() {
    let world = World::new();
    world.queue("q").await;
    for document in [
        r#"{"max":0}"#,
        r#"{"max":101}"#,
        r#"{"lease":"999ms"}"#,
        r#"{"lease":"61m"}"#,
        r#"{"lease":30}"#,
        r#"{"linger":"1s"}"#,
    ] {
        world.ask(post("/v1/queues/q/leases").json(document)).await.expect_problem(422, "invalid-request");
    }
    world.ask(post("/v1/queues/nope/leases")).await.expect_problem(404, "queue-not-found");
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease_and_shows_progress() {
    let world = World::new();
    world.queue("q").await;
    let place = task(&world).await;
    let lease = world.lease("q").await;
    let told = world.ask(patch(&path(&lease)).json(r#"{"extend":"50s","progress":{"done":1}}"#)).await;
    assert_eq!((told.status, &told.json()["cancel"]), (200, &json!(false)));
    assert!(told.json()["expires_at"].as_str() > lease["expires_at"].as_str(), "{told:?} {lease}");
    assert_eq!(world.ask(get(&place)).await.json()["progress"], json!({"done": 1}));
    let large = format!(r#"{{"progress":"{}"}}"#, "x".repeat(17_000));
    world.ask(patch(&path(&lease)).json(large)).await.expect_problem(422, "invalid-request");
    for unknown in ["/v1/leases/9f", "/v1/leases/00000000000000000000000000000001"] {
        world.ask(patch(unknown).json("{}")).await.expect_problem(409, "lease-lost");
    }
}

#[tokio::test]
async fn a_settlement_is_repeated_without_harm_and_contradicted_in_vain() {
    let world = World::new();
    world.queue("q").await;
    task(&world).await;
    let lease = world.lease("q").await;
    let complete = || post(&format!("{}/complete", path(&lease))).json(r#"{"result":1}"#);
    let first = world.ask(complete()).await;
    assert_eq!((first.status, &first.json()["state"]), (200, &json!("succeeded")));
    assert_eq!(world.ask(complete()).await.json(), first.json());
    let problem = world.ask(post(&format!("{}/fail", path(&lease))).json("{}")).await;
    problem.expect_problem(409, "lease-settled");
}

#[tokio::test]
async fn what_follows_is_published_with_the_result() {
    let world = World::new();
    world.queue("q").await;
    world.queue("next").await;
    task(&world).await;
    let lease = world.lease("q").await;
    let complete = |queue: &str| {
        let document = json!({"result": 1, "publish": [{"queue": queue, "name": "n", "payload": {"a": 1}}]});
        post(&format!("{}/complete", path(&lease))).json(document.to_string())
    };
    world.ask(complete("nope")).await.expect_problem(404, "queue-not-found");
    let told = world.ask(complete("next")).await;
    assert_eq!(told.status, 200, "{told:?}");
    let next = world.lease("next").await;
    assert_eq!(told.json()["published"], json!([next["task"]["id"]]));
    assert_eq!((&next["task"]["name"], &next["task"]["payload"]), (&json!("n"), &json!({"a": 1})));
}

#[tokio::test]
async fn a_failed_attempt_is_retried_and_a_released_task_unharmed() {
    let world = World::new();
    world.queue("q").await;
    let place = task(&world).await;
    let lease = world.lease("q").await;
    let told = world.ask(post(&format!("{}/release", path(&lease)))).await;
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("ready")), "{told:?}");
    let lease = world.lease("q").await;
    assert_eq!(lease["task"]["attempt"], 1);
    let fail = post(&format!("{}/fail", path(&lease))).json(r#"{"error":{"title":"t"},"delay":"1ms"}"#);
    let told = world.ask(fail).await;
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("scheduled")), "{told:?}");
    assert!(told.json()["due_at"].is_string());
    let lease = world.lease("q").await;
    assert_eq!(lease["task"]["attempt"], 2);
    let status = world.ask(get(&place)).await.json();
    assert_eq!((&status["attempts"], &status["releases"]), (&json!(1), &json!(1)));
    let both = post(&format!("{}/fail", path(&lease))).json(r#"{"retry":false,"delay":"1s"}"#);
    world.ask(both).await.expect_problem(422, "invalid-request");
}

#[tokio::test]
async fn a_lease_that_nobody_keeps_is_lost() {
    let world = World::new();
    world.queue("q").await;
    task(&world).await;
    let told = world.ask(post("/v1/queues/q/leases").json(r#"{"lease":"1s"}"#)).await;
    let first = told.json()["leases"][0].clone();
    let second = world.lease("q").await;
    assert_eq!(second["task"]["crashes"], 1);
    let problem =
        world.ask(post(&format!("{}/complete", path(&first)))).await.expect_problem(409, "lease-lost");
    assert_eq!((&problem["task"], &problem["epoch"]), (&second["task"]["id"], &second["task"]["epoch"]));
}

#[tokio::test]
async fn a_worker_that_goes_while_it_waits_gets_nothing() {
    let world = World::new();
    world.queue("q").await;
    for by_http2 in [false, true] {
        let mut client = if by_http2 { world.client2().await } else { world.client().await };
        let parked = tokio::spawn(async move {
            let wait = post("/v1/queues/q/leases").header("prefer", "wait=30");
            tokio::select! {
                _ = client.send(wait) => panic!("there was nothing to get"),
                () = tokio::time::sleep(Duration::from_millis(100)) => client.cut(),
            }
        });
        parked.await.unwrap();
        until(|| world.connections() == 0).await;
        let place = task(&world).await;
        assert_eq!(world.ask(get(&place)).await.json()["state"], "ready");
        world.complete(&world.lease("q").await, "x").await;
    }
}

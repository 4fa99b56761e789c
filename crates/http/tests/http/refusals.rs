//! What is refused before the core hears of it, and how.

use crate::support::{World, delete, get, post, put};

#[tokio::test]
async fn paths_and_methods_are_known_or_refused() {
    let world = World::new();
    world.ask(get("/api/overview")).await.expect_problem(404, "not-found");
    let told = world.ask(delete("/v1/queues/q/call")).await;
    told.expect_problem(405, "method-not-allowed");
    assert_eq!(told.header("allow"), "POST");
    let head = world.ask(crate::support::head("/healthz")).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "2"));
    assert_eq!(world.ask(get("/metrics").without("authorization")).await.text(), "up 1\n");
    let openapi = world.ask(get("/v1/openapi.json").without("authorization")).await;
    assert_eq!(openapi.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn users_have_to_log_in() {
    let world = World::new();
    for authorization in [None, Some("Basic Z3Vlc3Q6d3Jvbmc="), Some("Basic ??"), Some("Bearer token")] {
        let ask = get("/v1/queues/q").without("authorization");
        let ask = match authorization {
            Some(value) => ask.header("authorization", value),
            None => ask,
        };
        let told = world.ask(ask).await;
        told.expect_problem(401, "unauthorized");
        assert!(told.header("www-authenticate").starts_with("Basic realm="), "{told:?}");
    }
    let told = world.ask(get("/v1/queues/q").header("vhost", "nope")).await;
    told.expect_problem(404, "vhost-not-found");
}

#[tokio::test]
async fn users_need_rights() {
    let world = World::new();
    world.queue("q").await;
    let place = world.ask(post("/v1/queues/q/tasks").json("{}")).await.header("location").to_owned();
    // reader:guest may read and nothing else.
    let reader = |ask: crate::support::Ask| ask.header("authorization", "Basic cmVhZGVyOmd1ZXN0");
    assert_eq!(world.ask(reader(get("/v1/queues/q"))).await.status, 200);
    assert_eq!(world.ask(reader(get(&place))).await.status, 200);
    for ask in [
        put("/v1/queues/r"),
        delete("/v1/queues/q"),
        post("/v1/queues/q/tasks").json("{}"),
        post("/v1/queues/q/call"),
        post("/v1/exchanges/amq.direct/messages"),
        post(&format!("{place}/cancel")),
    ] {
        world.ask(reader(ask)).await.expect_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let world = World::new();
    world
        .ask(put("/v1/queues/q").header("sec-fetch-site", "cross-site"))
        .await
        .expect_problem(403, "cross-site");
    world
        .ask(put("/v1/queues/q").header("origin", "https://evil.example"))
        .await
        .expect_problem(403, "cross-site");
    assert_eq!(world.ask(put("/v1/queues/q").header("origin", "http://test")).await.status, 201);
    assert_eq!(world.ask(get("/v1/queues/q").header("sec-fetch-site", "cross-site")).await.status, 200);
}

#[tokio::test]
async fn bodies_have_to_be_of_their_kind() {
    let world = World::new();
    world.queue("q").await;
    let tasks = || post("/v1/queues/q/tasks");
    world
        .ask(tasks().header("content-type", "application/x-www-form-urlencoded").body("{}"))
        .await
        .expect_problem(415, "unsupported-media-type");
    let problem = world.ask(tasks().json("{\n \"name\": }")).await.expect_problem(400, "malformed-json");
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &10.into()));
    world.ask(tasks().json("")).await.expect_problem(400, "malformed-json");
    world.ask(tasks().json("{} {}")).await.expect_problem(400, "malformed-json");
    world.ask(tasks().json("7")).await.expect_problem(422, "invalid-request");
    let problem = world.ask(tasks().json(r#"{"nam":"x"}"#)).await.expect_problem(422, "invalid-request");
    assert!(problem["detail"].as_str().unwrap().contains("nam"), "{problem}");
    let problem = world.ask(tasks().json(r#"[{},{"options":{"delay":5}}]"#)).await;
    assert_eq!(problem.expect_problem(422, "invalid-request")["member"], "[1].options.delay");
    for list in [r#"[["n"]]"#, r#"{"options":["5s"]}"#, r#"{"options":{"reply_to":["q"]}}"#] {
        let problem = world.ask(tasks().json(list)).await.expect_problem(422, "invalid-request");
        assert!(problem["detail"].as_str().unwrap().contains("expected an object"), "{problem}");
    }
    world.ask(post("/v1/queues/q/leases").json("[1]")).await.expect_problem(422, "invalid-request");
    let deep = format!(r#"{{"payload":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(world.ask(tasks().json(deep)).await.expect_problem(422, "invalid-request")["limit"], 128);
    let reserved = world.ask(tasks().json(r#"{"headers":{"x-delay":1}}"#)).await;
    assert!(
        reserved.expect_problem(422, "invalid-request")["detail"].as_str().unwrap().contains("options.delay")
    );
    let long = format!(r#"{{"name":"{}"}}"#, "n".repeat(256));
    world.ask(tasks().json(long)).await.expect_problem(422, "invalid-request");
    let told = world.ask(post("/v1/queues/q/call").header("task-name", &"n".repeat(256))).await;
    told.expect_problem(422, "invalid-request");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::with(http_api::Limits { body_bytes_max: 1000, ..Default::default() });
    world.queue("q").await;
    let told =
        world.ask(post("/v1/queues/q/call").header("prefer", "respond-async").body(vec![0; 1000])).await;
    assert_eq!(told.status, 202);
    let told = world.ask(post("/v1/queues/q/call").body(vec![0; 1001])).await;
    assert_eq!(told.expect_problem(413, "body-too-large")["limit"], 1000);
}

#[tokio::test]
async fn an_answer_comes_through_though_the_body_is_not_wanted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::with(http_api::Limits { body_bytes_max: 1000, ..Default::default() });
    world.queue("q").await;
    let bytes = vec![0; 1024 * 1024];
    // A client of HTTP/1.1 that reads when it has written all.
    let mut stream = world.connect();
    let head = "POST /v1/queues/q/call HTTP/1.1\r\nHost: t\r\nContent-Length: 1048576\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn preferences_have_to_be_readable() {
    let world = World::new();
    world.queue("q").await;
    for path in ["/v1/queues/q/tasks", "/v1/queues/q/call", "/v1/queues/q/leases"] {
        world
            .ask(post(path).header("prefer", "wait=soon").json("{}"))
            .await
            .expect_problem(400, "bad-prefer");
    }
    let unknown = "/v1/tasks/01934c3a-7e2b-7c1d-9f00-5a2b3c4d5e6f";
    world.ask(get(unknown).header("prefer", "wait=-1")).await.expect_problem(400, "bad-prefer");
}

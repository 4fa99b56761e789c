//! Connections: they rest, they stop, and they leave no trace.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{World, get, post, put, until};

#[tokio::test]
async fn a_connection_that_rested_goes_on() {
    let world = World::new();
    let mut client = world.client().await;
    for round in 0..3 {
        assert!([200, 201].contains(&client.ask(put("/v1/queues/q")).await.status), "round {round}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(world.connections(), 1);
    client.cut();
    until(|| world.connections() == 0).await;
}

#[tokio::test]
async fn a_slow_head_survives_the_rest() {
    let world = World::new();
    let mut stream = world.connect();
    for _ in 0..2 {
        for part in ["G", "ET /healthz HT", "TP/1.1\r\nHost: te", "st\r\n\r\n"] {
            stream.write_all(part.as_bytes()).await.unwrap();
            // Longer than it takes to rest.
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut rest = vec![0; 4096];
        let length = stream.read(&mut rest).await.unwrap();
        assert!(rest[..length].ends_with(b"{}"), "{}", String::from_utf8_lossy(&rest[..length]));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_not_lost_by_resting() {
    let world = World::new();
    world.queue("q").await;
    let body = vec![b'x'; 1024 * 1024];
    let (told, ()) = tokio::join!(world.ask(post("/v1/queues/q/call")), async {
        let path = format!("/v1/leases/{}/complete", world.lease("q").await["lease"].as_str().unwrap());
        assert_eq!(world.ask(post(&path).header("content-type", "text/plain").body(body)).await.status, 200);
    });
    let mut stream = world.connect();
    let head = format!(
        "GET /v1/tasks/{}/result HTTP/1.1\r\nHost: t\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n",
        told.header("task-id")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut read = vec![0; 64 * 1024];
    let mut bytes = 0;
    while bytes < 1024 * 1024 {
        bytes += stream.read(&mut read).await.unwrap();
    }
    // And the connection goes on.
    while tokio::time::timeout(Duration::from_millis(200), stream.read(&mut read))
        .await
        .is_ok_and(|read| read.unwrap() > 0)
    {}
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    let length = stream.read(&mut read).await.unwrap();
    assert!(read[..length].starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn each_user_of_a_connection_has_a_line_of_its_own() {
    let world = World::new();
    world.queue("q").await;
    until(|| world.connections() == 0).await;
    let mut client = world.client2().await;
    assert_eq!(client.ask(get("/v1/queues/q")).await.status, 200);
    assert_eq!(
        client.ask(get("/v1/queues/q").header("authorization", "Basic cmVhZGVyOmd1ZXN0")).await.status,
        200
    );
    assert_eq!(client.ask(get("/v1/queues/q")).await.status, 200);
    assert_eq!(world.connections(), 2);
    client.cut();
    until(|| world.connections() == 0).await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_refuses_requests() {
    let world = World::new();
    let mut busy = world.client().await;
    assert_eq!(busy.ask(put("/v1/queues/q")).await.status, 201);
    let mut silent = world.connect();
    world.stop();
    assert_eq!(silent.read(&mut [0; 10]).await.unwrap(), 0);
    until(|| world.connections() == 0).await;
    // A balancer that asks still hears something.
    let told = world.ask(get("/v1/queues/q")).await;
    told.expect_problem(503, "server-stopping");
}

#[tokio::test]
async fn http2_is_served_without_an_upgrade() {
    let world = World::new();
    let mut client = world.client2().await;
    assert_eq!(client.ask(put("/v1/queues/q")).await.status, 201);
    assert_eq!(client.ask(crate::support::head("/v1/queues/q")).await.body.len(), 0);
    client.ask(get("/nowhere")).await.expect_problem(404, "not-found");
}

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

#[tokio::test]
async fn an_early_answer_of_http2_resets_nothing_while_the_body_comes() {
    let world = World::new();
    let mut stream = world.connect();
    // No settings, then POST /v1/queues/q/call by nobody (RFC 7541: from the static table, or as it is), its body to come.
    let fields = [&b"\x83\x86\x04\x11/v1/queues/q/call"[..], b"\x01\x01t"].concat();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream.write_all(&[0, 0, fields.len() as u8, 1, 4, 0, 0, 0, 1]).await.unwrap();
    stream.write_all(&fields).await.unwrap();
    let mut frames = Vec::new();
    let answering = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            frames.extend((head[8] == 1).then_some((head[3], head[4])));
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(300), answering).await;
    // The answer's head and its body with the end of the stream; RST_STREAM would be 3.
    assert_eq!(frames, [(1, 4), (0, 1)]);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_in_its_time() {
    let limits = http_api::Limits {
        head_timeout: Duration::from_millis(300),
        rest_after: Duration::from_millis(20),
        ..Default::default()
    };
    let world = World::with(limits);
    let mut stream = world.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\nGET /hea").await.unwrap();
    let slow = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            if stream.write_all(b"l").await.is_err() {
                return;
            }
        }
        panic!("a client may dawdle for ever");
    };
    slow.await;
}

#[tokio::test]
async fn a_silent_connection_of_http2_is_let_go() {
    let world =
        World::with(http_api::Limits { idle_timeout: Duration::from_millis(100), ..Default::default() });
    let mut client = world.client2().await;
    assert_eq!(client.ask(put("/v1/queues/q")).await.status, 201);
    until(|| world.connections() == 0).await;
}

/// Waits longer than it takes to let hyper go, and looks at the very bytes.
#[tokio::test]
async fn a_call_that_waited_alone_is_answered_and_the_next_request_with_it() {
    let world = World::new();
    world.queue("q").await;
    let mut stream = world.connect();
    let call = "POST /v1/queues/q/call HTTP/1.1\r\nHost: t\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: 1\r\n\r\nx";
    for round in 0..2 {
        stream.write_all(call.as_bytes()).await.unwrap();
        let lease = world.lease("q").await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        // The next one comes before the answer, in two pieces.
        stream.write_all(b"GET /healthz HTT").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.complete(&lease, "done").await;
        let mut bytes = Vec::new();
        until_ends_with(&mut stream, &mut bytes, "done").await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("content-length: 4\r\n"),
            "{round}: {text}"
        );
        stream.write_all(b"P/1.1\r\nHost: t\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        until_ends_with(&mut stream, &mut bytes, "{}").await;
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{round}: {}", String::from_utf8_lossy(&bytes));
    }
}

async fn until_ends_with(stream: &mut tokio::io::DuplexStream, bytes: &mut Vec<u8>, end: &str) {
    let reading = async {
        while !bytes.ends_with(end.as_bytes()) {
            assert!(stream.read_buf(bytes).await.unwrap() > 0, "{}", String::from_utf8_lossy(bytes));
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(5), reading).await;
    assert!(done.is_ok(), "only {}", String::from_utf8_lossy(bytes));
}

#[tokio::test]
async fn a_caller_who_goes_while_it_waits_alone_leaves_no_trace() {
    let world = World::new();
    world.queue("q").await;
    let mut stream = world.connect();
    let call = "POST /v1/queues/q/call HTTP/1.1\r\nHost: t\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(call.as_bytes()).await.unwrap();
    let lease = world.lease("q").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    drop(stream);
    until(|| world.connections() == 0).await;
    world.complete(&lease, "for later").await;
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_gets_it_behind_its_answer() {
    let world = World::new();
    world.queue("q").await;
    for ending in ["HTTP/1.1\r\nConnection: close", "HTTP/1.0"] {
        let mut stream = world.connect();
        let call = format!(
            "POST /v1/queues/q/call {ending}\r\nHost: t\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(call.as_bytes()).await.unwrap();
        let lease = world.lease("q").await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.complete(&lease, "done").await;
        let mut bytes = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes.ends_with(b"\r\n\r\ndone"), "{}", String::from_utf8_lossy(&bytes));
    }
}

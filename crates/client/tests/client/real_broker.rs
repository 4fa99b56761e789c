//! The client and the real broker.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use amqp_wire::hot::Publication;
use amqp_wire::{Properties, basic, queue};
use forebay_client::{Client, Message, PublishError, Task};
use testkit::amqp::{Endpoint, Peer, short};

use crate::server::Server;

/// How many messages a queue holds, as another client sees it.
fn depth(server: &Server, name: &str) -> u32 {
    let mut peer = Peer::open(&server.broker.endpoint()).unwrap();
    peer.open_channel(1).unwrap();
    let declare = queue::Declare { queue: short(name), passive: true, ..Default::default() };
    peer.call::<queue::DeclareOk>(1, declare).unwrap().message_count
}

/// The worker of RabbitMQ's tutorial on RPC: answers `count` requests with their bodies turned round.
fn respond(endpoint: &Endpoint, queue_name: &'static str, count: usize) -> thread::JoinHandle<()> {
    let mut peer = Peer::open(endpoint).unwrap();
    peer.open_channel(1).unwrap();
    let consume = basic::Consume { queue: short(queue_name), ..Default::default() };
    let _: basic::ConsumeOk = peer.call(1, consume).unwrap();
    thread::spawn(move || {
        for _ in 0..count {
            let (deliver, content) = peer.expect_delivery(1).unwrap();
            let request = Properties::decode(&content.properties).unwrap();
            let reply = Properties { correlation_id: request.correlation_id, ..Properties::default() };
            let reply_to = request.reply_to.unwrap();
            let publication = Publication { exchange: b"", routing_key: &reply_to, mandatory: false };
            let body: Vec<u8> = content.body.into_iter().rev().collect();
            peer.publish(1, &publication, &reply.to_bytes(), &body).unwrap();
            peer.send(1, basic::Ack { delivery_tag: deliver.delivery_tag, multiple: false }).unwrap();
        }
        // Leave only when the broker has taken the last answer.
        let _: amqp_wire::connection::CloseOk =
            peer.call(0, amqp_wire::connection::Close::default()).unwrap();
    })
}

#[tokio::test]
async fn many_publishes_are_confirmed_and_survive_a_kill() {
    let mut server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("orders").await.unwrap();
    let publishes: Vec<_> = (0..500)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.publish("", "orders", Message::new(number.to_string())).await })
        })
        .collect();
    for publish in publishes {
        publish.await.unwrap().unwrap();
    }
    server.broker.kill().unwrap();
    let while_away = {
        let client = client.clone();
        tokio::spawn(async move { client.publish("", "orders", Message::new("while away")).await })
    };
    server.broker.restart().unwrap();
    while_away.await.unwrap().unwrap();
    assert_eq!(depth(&server, "orders"), 501);
    client.close().await;
}

/// Everything that a queue holds.
fn drain(server: &Server, name: &str) -> HashSet<String> {
    let mut peer = Peer::open(&server.broker.endpoint()).unwrap();
    peer.open_channel(1).unwrap();
    let (queue, no_ack) = (short(name), true);
    let mut found = HashSet::new();
    loop {
        peer.send(1, basic::Get { queue: queue.clone(), no_ack }).unwrap();
        match peer.receive().unwrap().content {
            Some(content) => found.insert(String::from_utf8(content.body).unwrap()),
            None => return found,
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_confirmed_is_there_however_often_the_broker_dies() {
    let mut server = Server::start();
    let client = Client::builder().in_flight_max(64).connect(&server.url()).await.unwrap();
    client.declare_queue("orders").await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let publishers: Vec<_> = (0..16)
        .map(|publisher| {
            let (client, stopped) = (client.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                while !*stopped.borrow() {
                    let body = format!("{publisher}-{}", confirmed.len());
                    client.publish("", "orders", Message::new(body.clone())).await.unwrap();
                    confirmed.push(body);
                }
                confirmed
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.broker.kill().unwrap();
        server.broker.restart().unwrap();
    }
    stop.send(true).unwrap();
    let mut confirmed = Vec::new();
    for publisher in publishers {
        confirmed.extend(publisher.await.unwrap());
    }
    let found = drain(&server, "orders");
    let lost: Vec<_> = confirmed.iter().filter(|body| !found.contains(*body)).collect();
    assert!(lost.is_empty(), "{} of {} are lost, as {}", lost.len(), confirmed.len(), lost[0]);
    assert!(confirmed.len() > 100, "{} publishes say little", confirmed.len());
    client.close().await;
}

#[tokio::test]
async fn refusals_cost_their_own_publish_and_nothing_else() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("orders").await.unwrap();
    let unroutable = client.publish("", "nowhere", Message::new("")).await;
    assert!(matches!(unroutable, Err(PublishError::Unroutable { code: 312, .. })), "{unroutable:?}");
    client.publish("", "nowhere", Message::new("").optional()).await.unwrap();
    let refused = client.publish("missing", "x", Message::new("")).await;
    assert!(matches!(refused, Err(PublishError::Refused { code: 404, .. })), "{refused:?}");
    let refused = client.declare_queue("amq.mine").await;
    assert!(matches!(refused, Err(PublishError::Refused { code: 403, .. })), "{refused:?}");
    client.publish("", "orders", Message::new("x")).await.unwrap();
    assert_eq!(depth(&server, "orders"), 1);
    client.close().await;
}

#[tokio::test]
async fn calls_to_a_plain_queue_are_answered_by_an_old_worker() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("rpc").await.unwrap();
    let worker = respond(&server.broker.endpoint(), "rpc", 20);
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let task = Task::raw("text/plain", format!("{number:02}"));
                let reply = client.call_raw("rpc", task).timeout(Duration::from_secs(5)).await.unwrap();
                (number, reply.body)
            })
        })
        .collect();
    for call in calls {
        let (number, body) = call.await.unwrap();
        let expected: String = format!("{number:02}").chars().rev().collect();
        assert_eq!(body, expected);
    }
    worker.join().unwrap();
    client.close().await;
}

//! What a handler tells the broker happens once for each task, whatever breaks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use amqp_wire::basic;
use forebay_client::Client;
use forebay_worker::{Cx, Fail, Message, Worker};
use testkit::amqp::{Peer, short};

use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{Add, Running};

const TASKS: i64 = 300;

/// Works for a moment and leaves one mark for its task.
async fn mark(job: Add, cx: Cx, runs: Arc<AtomicI64>) -> Result<i64, Fail> {
    runs.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(job.a.unsigned_abs() % 20)).await;
    cx.publish("", "marks", Message::new(job.a.to_string()))?;
    Ok(job.a)
}

/// How many marks each task has left.
fn marks(server: &Server) -> BTreeMap<String, usize> {
    let mut peer = Peer::open(&server.broker.endpoint()).unwrap();
    peer.open_channel(1).unwrap();
    let mut found = BTreeMap::new();
    loop {
        peer.send(1, basic::Get { queue: short("marks"), no_ack: true }).unwrap();
        match peer.receive().unwrap().content {
            Some(content) => *found.entry(String::from_utf8(content.body).unwrap()).or_default() += 1,
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_leaves_one_mark_though_lines_break_and_the_broker_dies() {
    let mut server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    client.declare_queue("marks").await.unwrap();
    let proxy = Proxy::start(server.broker.endpoint().address);
    let runs = Arc::new(AtomicI64::new(0));
    let worker = Worker::connect(&proxy.url()).unwrap().handle_with(runs.clone(), mark).concurrency(8);
    let running = Running::start(worker, Duration::from_secs(5));
    let callers: Vec<_> = (0..TASKS)
        .map(|a| {
            let client = client.clone();
            tokio::spawn(async move { client.call(Add { a, b: 0 }).timeout(Duration::from_secs(60)).await })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.cut();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.broker.kill().unwrap();
    server.broker.restart().unwrap();
    for (a, caller) in (0..).zip(callers) {
        assert_eq!(caller.await.unwrap().unwrap(), a);
    }
    running.end().await.unwrap();
    let runs = runs.load(Ordering::SeqCst);
    assert!(runs > TASKS, "{runs} attempts: nothing was interrupted");
    let expected = (0..TASKS).map(|a| (a.to_string(), 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(marks(&server), expected);
    client.close().await;
}

//! Worker, client and the real broker.

use std::time::Duration;

use forebay_client::{CallError, Client, Task};
use forebay_worker::{Cx, Fail, Job, Message, Output, Worker};

use crate::server::Server;
use crate::support::{Add, Running, add};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn calls_to_a_plain_queue_are_answered() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("sums").await.unwrap();
    let worker = Worker::connect(&server.url()).unwrap().declare(false).handle(add);
    let running = Running::start(worker, GRACE);
    let calls: Vec<_> = (0..50)
        .map(|a| {
            let client = client.clone();
            tokio::spawn(async move { (a, client.call(Add { a, b: 1 }).await.unwrap()) })
        })
        .collect();
    for call in calls {
        let (a, sum) = call.await.unwrap();
        assert_eq!(sum, a + 1);
    }
    let failed = client.call(Add { a: i64::MAX, b: 1 }).await;
    assert!(
        matches!(&failed, Err(CallError::Failed { failure, .. }) if failure.title == "too large" && failure.status == 422),
        "{failed:?}"
    );
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_worker_goes_on_after_the_broker_was_killed() {
    let mut server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("sums").await.unwrap();
    let worker = Worker::connect(&server.url()).unwrap().declare(false).handle(add);
    let running = Running::start(worker, GRACE);
    assert_eq!(client.call(Add { a: 1, b: 1 }).await.unwrap(), 2);
    server.broker.kill().unwrap();
    let waiting = client.call(Add { a: 2, b: 2 });
    server.broker.restart().unwrap();
    assert_eq!(waiting.await.unwrap(), 4);
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_to_a_plain_queue_is_answered_however_often_the_broker_dies() {
    check_calls_while_the_broker_dies(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_to_a_queue_of_tasks_is_answered_however_often_the_broker_dies() {
    check_calls_while_the_broker_dies(true).await;
}

async fn check_calls_while_the_broker_dies(is_task_queue: bool) {
    let mut server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    match is_task_queue {
        true => client.declare_task_queue("sums").await.unwrap(),
        false => client.declare_queue("sums").await.unwrap(),
    }
    let worker = Worker::connect(&server.url()).unwrap().declare(is_task_queue).handle(add);
    let running = Running::start(worker, GRACE);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = (0..16)
        .map(|a| {
            let (client, stopped) = (client.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !*stopped.borrow() {
                    assert_eq!(client.call(Add { a, b: calls }).await.unwrap(), a + calls);
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.broker.kill().unwrap();
        server.broker.restart().unwrap();
    }
    stop.send(true).unwrap();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    assert!(calls > 50, "{calls} calls say little");
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn messages_of_a_handler_arrive_with_the_result() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("chain").await.unwrap();
    client.declare_queue("next").await.unwrap();
    let chain = |job: Job, cx: Cx| async move {
        cx.send_to("next", Task::raw("text/plain", job.body.clone()))?;
        cx.publish("amq.topic", "nobody.listens", Message::new("").optional())?;
        Ok::<_, Fail>(Output::raw("text/plain", job.body))
    };
    let next = |job: Job, cx: Cx| async move {
        let text = String::from_utf8_lossy(&job.body).into_owned();
        cx.publish("", "last", Message::new(format!("{text}!")))?;
        Ok::<_, Fail>(Output::empty())
    };
    client.declare_queue("last").await.unwrap();
    let (sender, mut seen) = tokio::sync::mpsc::channel(1);
    let last = move |job: Job, _: Cx| {
        let sender = sender.clone();
        async move {
            sender.send(job.body).await?;
            Ok::<_, Fail>(Output::empty())
        }
    };
    let worker = Worker::connect(&server.url())
        .unwrap()
        .declare(false)
        .handle_raw("chain", chain)
        .handle_raw("next", next)
        .handle_raw("last", last);
    let running = Running::start(worker, GRACE);
    let reply = client.call_raw("chain", Task::raw("text/plain", "hi")).await.unwrap();
    assert_eq!((&reply.body[..], reply.status), (b"hi".as_slice(), 200));
    assert_eq!(seen.recv().await.unwrap(), "hi!");
    running.end().await.unwrap();
    client.close().await;
}

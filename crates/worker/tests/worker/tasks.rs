//! Queues of tasks: the real broker counts attempts and keeps results.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use amqp_wire::basic;
use forebay_client::{CallError, Client, PublishError, Task};
use forebay_worker::{Cx, Fail, Job, Message, Output, TaskId, Worker, WorkerError};
use testkit::amqp::{Peer, short};
use tokio::sync::mpsc;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{Add, Running, add};

const GRACE: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(20);

fn worker(server: &Server) -> Worker {
    Worker::connect(&server.url()).unwrap()
}

/// What a handler learned about its attempt: id, number, epoch.
type Seen = (Option<TaskId>, u32, u64);
type Attempt = Pin<Box<dyn Future<Output = Result<i64, Fail>> + Send>>;

/// A handler that reports each attempt, and what it reports.
fn reporting(
    outcome: impl Fn(&Cx) -> Result<i64, Fail> + Clone + Send + Sync + 'static,
) -> (impl Fn(Add, Cx) -> Attempt + Send + Sync, mpsc::Receiver<Seen>) {
    let (sender, receiver) = mpsc::channel(100);
    let handler = move |_: Add, cx: Cx| -> Attempt {
        let (sender, outcome) = (sender.clone(), outcome.clone());
        Box::pin(async move {
            sender.send((cx.task_id(), cx.attempt(), cx.epoch())).await?;
            outcome(&cx)
        })
    };
    (handler, receiver)
}

#[tokio::test]
async fn a_call_gets_the_result_or_the_failure() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let running = Running::start(worker(&server).handle(add), GRACE);
    assert_eq!(client.call(Add { a: 2, b: 3 }).await.unwrap(), 5);
    match client.call(Add { a: i64::MAX, b: 1 }).await {
        Err(CallError::Failed { failure, .. }) => {
            assert_eq!((&*failure.title, failure.status), ("too large", 422));
            assert_eq!(&failure.body[..], br#"{"title":"too large","status":422}"#);
            assert_eq!(failure.content_type.as_deref(), Some("application/problem+json"));
        }
        other => panic!("{other:?}"),
    }
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_with_a_higher_epoch() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let (handler, mut seen) = reporting(|cx| match cx.attempt() {
        1 => Err(Fail::retry_after(Duration::from_millis(20), "not yet")),
        2 => panic!("not yet"),
        attempt => Ok(attempt.into()),
    });
    let running = Running::start(worker(&server).handle(handler), GRACE);
    assert_eq!(client.call(Add { a: 0, b: 0 }).timeout(LONG).await.unwrap(), 3);
    let first = seen.recv().await.unwrap();
    let (second, third) = (seen.recv().await.unwrap(), seen.recv().await.unwrap());
    assert!(first.0.is_some() && first.0 == second.0 && second.0 == third.0);
    assert_eq!((first.1, second.1, third.1), (1, 2, 3));
    assert!(first.2 < second.2 && second.2 < third.2, "{} {} {}", first.2, second.2, third.2);
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn attempts_end_where_the_producer_says() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let (handler, mut seen) =
        reporting(|_| Err(Fail::retry_after(Duration::from_millis(10), "never").status(503)));
    let running = Running::start(worker(&server).handle(handler), GRACE);
    let failed = client.call(Add { a: 0, b: 0 }).max_attempts(2).timeout(LONG).await;
    assert!(matches!(&failed, Err(CallError::Failed { failure, .. }) if failure.status == 503), "{failed:?}");
    assert_eq!((seen.recv().await.unwrap().1, seen.recv().await.unwrap().1), (1, 2));
    assert!(seen.try_recv().is_err());
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_task_and_a_delay_delays() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let (handler, mut seen) = reporting(|_| Ok(1));
    let running = Running::start(worker(&server).handle(handler), GRACE);
    let started = Instant::now();
    let send = || client.send(Add { a: 1, b: 1 }).idempotency_key("k").delay(Duration::from_millis(300));
    let id = send().await.unwrap();
    send().await.unwrap();
    assert_eq!(seen.recv().await.unwrap().0, Some(id));
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(tokio::time::timeout(Duration::from_millis(500), seen.recv()).await.is_err(), "it ran twice");
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_call_outlives_the_broker() {
    let mut server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.call(Add { a: 2, b: 2 }).timeout(LONG).await })
    };
    // Durable before there is a worker, and before the broker dies.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.broker.kill().unwrap();
    server.broker.restart().unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let handler = move |job: Add, _: Cx| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<i64, Fail>(job.a + job.b) }
    };
    let running = Running::start(worker(&server).handle(handler), GRACE);
    assert_eq!(waiting.await.unwrap().unwrap(), 4);
    running.end().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    client.close().await;
}

#[tokio::test]
async fn a_chain_goes_on_in_the_commit_of_its_first_link() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("chain").await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let chain = |_: Job, cx: Cx| async move {
        let id = cx.send(&Add { a: 1, b: 1 })?;
        Ok::<_, Fail>(Output::raw("text/plain", id.to_string()))
    };
    let (handler, mut seen) = reporting(|_| Ok(2));
    let running = Running::start(worker(&server).handle_raw("chain", chain).handle(handler), GRACE);
    let reply = client.call_raw("chain", Task::raw("text/plain", "")).timeout(LONG).await.unwrap();
    let next = seen.recv().await.unwrap().0.unwrap();
    assert_eq!(reply.body, next.to_string());
    running.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn what_a_worker_gives_back_at_its_end_is_no_attempt() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let (started, mut has_started) = mpsc::channel(1);
    let stuck = move |_: Add, _: Cx| {
        let started = started.clone();
        async move {
            started.send(()).await?;
            std::future::pending::<Result<i64, Fail>>().await
        }
    };
    let first = Running::start(worker(&server).handle(stuck), Duration::from_millis(10));
    client.send(Add { a: 1, b: 1 }).await.unwrap();
    has_started.recv().await.unwrap();
    first.end().await.unwrap();
    let (handler, mut seen) = reporting(|_| Ok(2));
    let second = Running::start(worker(&server).handle(handler), GRACE);
    assert_eq!(seen.recv().await.unwrap().1, 1);
    second.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_task_that_nobody_handles_waits_for_who_does() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let stranger = Task::new("subtract", &1).unwrap();
    client.send_to("sums", stranger).await.unwrap();
    let first = Running::start(worker(&server).handle(add), GRACE);
    // The worker goes on with what it knows.
    assert_eq!(client.call(Add { a: 1, b: 1 }).timeout(LONG).await.unwrap(), 2);
    first.end().await.unwrap();
    let (sender, mut seen) = mpsc::channel(1);
    let any = move |job: Job, _: Cx| {
        let sender = sender.clone();
        async move {
            sender.send(job.name).await?;
            Ok::<_, Fail>(Output::empty())
        }
    };
    let second = Running::start(worker(&server).handle_raw("sums", any), GRACE);
    assert_eq!(tokio::time::timeout(LONG, seen.recv()).await.unwrap().unwrap(), "subtract");
    second.end().await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_plain_queue_is_no_queue_of_tasks() {
    let server = Server::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_queue("sums").await.unwrap();
    let refused = client.declare_task_queue("sums").await;
    assert!(matches!(refused, Err(PublishError::Refused { code: 406, .. })), "{refused:?}");
    let error = worker(&server).handle(add).run().await.unwrap_err();
    assert!(matches!(&error, WorkerError::OtherQueue { queue, .. } if queue == "sums"), "{error}");
    client.close().await;
}

#[tokio::test]
async fn a_line_that_breaks_moves_the_task_on_and_voids_the_old_attempt() {
    let server = Server::start();
    let proxy = Proxy::start(server.broker.endpoint().address);
    let client = Client::connect(&server.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    client.declare_queue("audit").await.unwrap();
    let (sender, mut seen) = mpsc::channel(10);
    let handler = move |_: Add, cx: Cx| {
        let sender = sender.clone();
        async move {
            sender.send((cx.attempt(), cx.epoch())).await?;
            if cx.attempt() == 1 {
                cx.cancelled().await;
            }
            cx.publish("", "audit", Message::new(format!("attempt {}", cx.attempt())))?;
            Ok::<i64, Fail>(cx.attempt().into())
        }
    };
    let worker = Worker::connect(&proxy.url()).unwrap().handle(handler);
    let running = Running::start(worker, GRACE);
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.call(Add { a: 1, b: 1 }).timeout(LONG).await })
    };
    let first = seen.recv().await.unwrap();
    proxy.cut();
    let second = seen.recv().await.unwrap();
    assert_eq!((first.0, second.0), (1, 2));
    assert!(first.1 < second.1);
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
    running.end().await.unwrap();
    let mut peer = Peer::open(&server.broker.endpoint()).unwrap();
    peer.open_channel(1).unwrap();
    let get = || basic::Get { queue: short("audit"), no_ack: true };
    let audit = peer.call::<basic::GetOk>(1, get()).unwrap();
    assert_eq!(audit.message_count, 0, "only the attempt that counts has published");
    client.close().await;
}

#[tokio::test]
async fn a_call_whose_line_breaks_joins_its_task_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.broker.endpoint().address);
    let client = Client::connect(&proxy.url()).await.unwrap();
    client.declare_task_queue("sums").await.unwrap();
    let (handler, mut seen) = reporting(|_| Ok(4));
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.call(Add { a: 2, b: 2 }).timeout(LONG).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.cut();
    let running = Running::start(worker(&server).handle(handler), GRACE);
    assert_eq!(waiting.await.unwrap().unwrap(), 4);
    running.end().await.unwrap();
    seen.recv().await.unwrap();
    assert!(seen.try_recv().is_err(), "it ran twice");
    client.close().await;
}

//! A worker against a server that does what brokers do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::HeaderValue;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::*;
use crate::http_client::stub::{Reaction, Seen, Stub, json, problem};

/// Answers with its payload in capitals after a while, or when it is interrupted.
struct Shout {
    takes: Duration,
}

const AT_ONCE: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_millis(50);
const ENDLESS: Duration = Duration::from_secs(3600);

impl Handler for Shout {
    async fn handle(&self, task: &Task, mut interruption: Interruption) -> Outcome {
        tokio::select! {
            () = sleep(self.takes) => {}
            () = interruption.wait() => {}
        }
        let content_type = HeaderValue::from_static("text/plain");
        Outcome::Done { content_type, result: task.payload.to_ascii_uppercase().into() }
    }
}

/// A broker with one task, whose reactions to what happens to the lease are chosen.
struct Broker {
    stub: Stub,
}

impl Broker {
    async fn start(settle: impl Fn(usize, &Seen) -> Reaction + Send + Sync + 'static) -> Self {
        let tasks = AtomicUsize::new(1);
        let settles = AtomicUsize::new(0);
        let stub = Stub::start(move |seen| match seen.line.as_str() {
            "GET /v1/queues/q" => problem(404, &[], "queue-not-found", ""),
            "PUT /v1/queues/q" => json(201, &json!({})),
            "POST /v1/queues/q/leases" if tasks.swap(0, Ordering::SeqCst) == 1 => json(200, &one_task()),
            "POST /v1/queues/q/leases" => Reaction::Silence,
            _ => settle(settles.fetch_add(1, Ordering::SeqCst), seen),
        })
        .await;
        Self { stub }
    }

    /// Runs a worker until so many events have been told, then stops it; returns the events.
    async fn work(&self, takes: Duration, events_wanted: usize, stop: fn(&Stopper)) -> Vec<String> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let (stopper, stopped) = Stopper::new();
        let heard = Arc::clone(&events);
        let worker =
            worker(&self.stub, takes).run(stopped, move |event| heard.lock().unwrap().push(name(&event)));
        let control = async {
            while events.lock().unwrap().len() < events_wanted {
                sleep(Duration::from_millis(1)).await;
            }
            stop(&stopper);
            // Kept, since a stopper that is gone stops the worker too.
            std::future::pending::<()>().await;
        };
        timeout(Duration::from_secs(20), async {
            tokio::select! {
                outcome = worker => outcome.unwrap(),
                () = control => {}
            }
        })
        .await
        .unwrap();
        events.lock().unwrap().clone()
    }

    /// What was asked of the lease.
    fn settles(&self) -> Vec<String> {
        let about_leases = |seen: Seen| seen.line.strip_prefix("POST /v1/leases/").map(str::to_owned);
        self.stub.seen().into_iter().filter_map(about_leases).collect()
    }
}

fn worker(stub: &Stub, takes: Duration) -> LeaseWorker<Shout> {
    LeaseWorker {
        access: stub.access(),
        queue: "q".to_owned(),
        name: "test".to_owned(),
        lease: Duration::from_millis(90),
        concurrency: 2,
        handler: Shout { takes },
    }
}

fn one_task() -> serde_json::Value {
    let task = json!({"id": "t1", "name": "", "payload": "hi", "attempt": 1, "crashes": 0, "epoch": 7});
    json!({"leases": [{"lease": "9f", "expires_at": "2026-01-01T00:00:00.000Z", "task": task}]})
}

/// The first word of an event.
fn name(event: &Event<'_>) -> String {
    let text = format!("{event:?}");
    text.split(['(', ' ']).next().unwrap().to_owned()
}

fn settled(_: usize, _: &Seen) -> Reaction {
    json(200, &json!({"state": "succeeded"}))
}

#[tokio::test]
async fn a_task_is_taken_and_its_result_told() {
    let broker = Broker::start(settled).await;
    assert_eq!(broker.work(AT_ONCE, 3, Stopper::drain).await, ["QueueMade", "Taken", "Completed"]);
    let seen = broker.stub.seen();
    let complete = seen.iter().find(|seen| seen.line == "POST /v1/leases/9f/complete").unwrap();
    assert_eq!((complete.header("content-type"), &complete.body[..]), ("text/plain", &b"\"HI\""[..]));
    let lease = seen.iter().find(|seen| seen.line.ends_with("/leases")).unwrap();
    assert_eq!(lease.body, json!({"max": 1, "lease": "90ms", "worker": "test"}).to_string());
    assert_eq!(lease.header("prefer"), "wait=20");
}

#[tokio::test]
async fn a_broker_that_is_away_hears_of_the_result_when_it_is_back() {
    let broker = Broker::start(|number, seen| match number {
        0 | 1 => Reaction::Hangup,
        2 => problem(503, &[], "stopping", ""),
        _ => settled(number, seen),
    })
    .await;
    let events = broker.work(AT_ONCE, 5, Stopper::drain).await;
    assert_eq!(events, ["QueueMade", "Taken", "BrokerAway", "BrokerBack", "Completed"]);
    assert_eq!(broker.settles(), ["9f/complete"; 4]);
}

#[tokio::test]
async fn a_result_that_the_broker_refuses_fails_the_task() {
    let broker = Broker::start(|number, seen| match number {
        0 => problem(413, &[], "body-too-large", ""),
        _ => settled(number, seen),
    })
    .await;
    assert_eq!(broker.work(AT_ONCE, 3, Stopper::drain).await, ["QueueMade", "Taken", "Failed"]);
    assert_eq!(broker.settles(), ["9f/complete", "9f/fail"]);
}

#[tokio::test]
async fn a_lease_is_kept_and_work_whose_lease_is_lost_is_interrupted_and_not_settled() {
    let broker = Broker::start(|number, _| match number {
        0..3 => json(200, &json!({"expires_at": "2026-01-01T00:00:00.000Z", "cancel": false})),
        _ => problem(409, &[], "lease-lost", "epoch 7 was replaced by 8"),
    })
    .await;
    assert_eq!(broker.work(ENDLESS, 3, Stopper::drain).await, ["QueueMade", "Taken", "Lost"]);
    let beats = broker.stub.seen().iter().filter(|seen| seen.line == "PATCH /v1/leases/9f").count();
    assert_eq!((beats, broker.settles().len()), (4, 0));
}

#[tokio::test]
async fn cancelled_work_is_interrupted_and_not_settled() {
    let broker = Broker::start(|_, _| json(200, &json!({"cancel": true}))).await;
    assert_eq!(broker.work(ENDLESS, 3, Stopper::drain).await, ["QueueMade", "Taken", "Cancelled"]);
    assert_eq!(broker.settles(), [""; 0]);
}

#[tokio::test]
async fn a_worker_that_has_to_stop_gives_back_what_is_under_way() {
    let broker = Broker::start(settled).await;
    assert_eq!(broker.work(ENDLESS, 2, Stopper::now).await, ["QueueMade", "Taken", "Released"]);
    assert_eq!(broker.settles(), ["9f/release"]);
}

#[tokio::test]
async fn a_worker_that_drains_finishes_what_is_under_way() {
    let broker = Broker::start(settled).await;
    assert_eq!(broker.work(SOON, 2, Stopper::drain).await, ["QueueMade", "Taken", "Completed"]);
    assert!(broker.settles().contains(&"9f/complete".to_owned()));
}

#[tokio::test]
async fn a_worker_that_the_broker_refuses_ends() {
    let stub = Stub::start(|seen| match seen.line.as_str() {
        "POST /v1/queues/q/leases" => problem(409, &[], "not-a-task-queue", "q is a plain queue"),
        _ => json(200, &json!({})),
    })
    .await;
    let (_stopper, stop) = Stopper::new();
    let refusal = worker(&stub, AT_ONCE).run(stop, |_| {}).await.unwrap_err();
    assert!(refusal.0.is("not-a-task-queue"), "{refusal}");
}

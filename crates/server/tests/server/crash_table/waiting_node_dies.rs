//! Row: the node that holds the waiting connection dies. The client repeats its call and is attached by its key; the task
//! is unaffected.

use amqp_wire::{Properties, hot};
use serde_json::json;
use testkit::amqp::{Peer, short};
use testkit::http::{Request, Response};

use super::api::Api;
use super::kills::{kill, kill_after, sweep, time};
use super::worker::{next_job, work};
use crate::support::Fresh;

const CALLERS: u64 = 5;

fn call(caller: u64) -> Request {
    Request::post("/v1/queues/jobs/call")
        .json(format!(r#""caller {caller}""#))
        .header("Idempotency-Key", format!("\"caller-{caller}\""))
        .header("Prefer", "wait=30")
}

/// Callers with a connection each, all parked.
fn park(fresh: &Fresh) -> Vec<Api> {
    let mut callers: Vec<Api> = (0..CALLERS).map(|_| Api::open(fresh)).collect();
    (0..).zip(&mut callers).for_each(|(number, caller)| caller.send(&call(number)));
    callers
}

#[track_caller]
fn check_answer(answer: &Response, caller: u64) {
    assert_eq!((answer.status, &*answer.text()), (200, &*format!(r#""CALLER {caller}""#)));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
}

#[test]
fn callers_come_back_and_get_the_answers_of_the_same_tasks() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let mut callers = park(&fresh);
    api.wait_until("all calls are parked", |api| api.ready("jobs") == CALLERS);
    kill(&mut fresh);
    for caller in &mut callers {
        assert!(caller.receive_from_the_dead().is_none());
    }

    let mut callers = park(&fresh);
    let mut worker = Api::open(&fresh);
    let mut tasks = Vec::new();
    for _ in 0..CALLERS {
        let lease = worker.lease("jobs", "30s");
        let status = worker.status(&lease.task);
        assert_eq!((&status["attempts"], &status["crashes"]), (&json!(0), &json!(0)));
        let complete = Request::post(format!("/v1/leases/{}/complete", lease.id));
        let answer = lease.payload.to_string().to_ascii_uppercase();
        assert_eq!(worker.call(&complete.body("text/plain", answer)).status, 200);
        tasks.push(lease.task);
    }
    let mut answered: Vec<String> = Vec::new();
    for (number, caller) in (0..).zip(&mut callers) {
        let answer = caller.receive();
        check_answer(&answer, number);
        assert_eq!(answer.header("idempotency-replayed"), Some("true"));
        answered.push(answer.header("task-id").unwrap().to_owned());
    }
    answered.sort();
    tasks.sort();
    assert_eq!(answered, tasks, "one task for each caller, and none beside them");
    assert_eq!(worker.lease_now("jobs", 1).len(), 0);
}

/// Upper-cases the next call, and returns its task.
fn answer_next(worker: &mut Peer) -> String {
    let job = next_job(worker);
    let properties = Properties { content_type: Some(short("text/plain")), ..Properties::default() };
    let publication = hot::Publication { exchange: b"", routing_key: &job.reply_to, mandatory: true };
    worker.publish(1, &publication, &properties.to_bytes(), &job.body.to_ascii_uppercase()).unwrap();
    job.ack(worker, 1);
    job.task
}

/// One caller, parked, and a worker.
fn meet(fresh: &Fresh, round: u32) -> (Api, Peer) {
    let (mut caller, mut worker) = (Api::open(fresh), fresh.client());
    caller.send(&call(u64::from(round)));
    work(&mut worker, "jobs", 1);
    (caller, worker)
}

#[test]
fn each_caller_gets_its_own_answer_whenever_the_node_dies() {
    const ROUNDS: u32 = 10;
    let mut fresh = Fresh::start();
    Api::open(&fresh).put_queue("jobs");
    let (mut caller, mut worker) = meet(&fresh, 0);
    let usual = time(|| {
        answer_next(&mut worker);
        check_answer(&caller.receive(), 0);
    });
    let mut told = 0;
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        drop(worker);
        (caller, worker) = meet(&fresh, round);
        let task = answer_next(&mut worker);
        kill_after(&mut fresh, delay);
        told += u32::from(caller.receive_from_the_dead().is_some());

        (caller, worker) = meet(&fresh, round);
        if Api::open(&fresh).state(&task) != "succeeded" {
            assert_eq!(answer_next(&mut worker), task);
        }
        let answer = caller.receive();
        check_answer(&answer, u64::from(round));
        assert_eq!(answer.header("task-id"), Some(task.as_str()));
    }
    println!("an answer takes {usual:?}; {told} of {ROUNDS} callers had theirs before the node died");
    assert_eq!(Api::open(&fresh).ready("jobs"), 0);
}

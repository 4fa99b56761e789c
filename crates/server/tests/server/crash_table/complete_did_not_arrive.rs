//! Row: the worker did the work, and its `complete` did not reach the broker. The task runs again.

use amqp_wire::tx;
use serde_json::json;
use testkit::http::Request;

use super::api::{Api, Lease, complete};
use super::kills::kill;
use super::worker::{next_job, work};
use crate::support::{Fresh, publish};

/// Says that the task is done, and what follows from it.
fn done(lease: &Lease) -> Request {
    let publish = json!([{"queue": "next", "payload": lease.attempt}]);
    complete(lease, &json!({"result": lease.attempt, "publish": publish}))
}

#[test]
fn a_request_that_was_cut_off_settles_nothing() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    api.put_queue("next");
    let task = api.enqueue("jobs", &json!({"payload": 1}));

    // First the worker dies in the middle of saying it, then the broker in the middle of hearing it.
    let first = api.lease("jobs", "1s");
    let mut worker = Api::open(&fresh);
    worker.send_half(&done(&first));
    drop(worker);
    let second = api.lease("jobs", "1s");
    assert_eq!((&second.task, second.attempt), (&task, 2));
    let mut worker = Api::open(&fresh);
    worker.send_half(&done(&second));
    kill(&mut fresh);
    assert!(worker.receive_from_the_dead().is_none());

    let mut api = Api::open(&fresh);
    let third = api.lease("jobs", "30s");
    assert_eq!((&third.task, third.attempt), (&task, 3));
    assert!(first.epoch < second.epoch && second.epoch < third.epoch);
    assert_eq!(api.ready("next"), 0);
    assert_eq!(api.call(&done(&third)).status, 200);
    assert_eq!((&*api.result(&task).text(), api.ready("next")), ("3", 1));
}

#[test]
fn a_transaction_that_was_not_committed_settles_nothing() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    api.put_queue("next");
    let task = api.enqueue("jobs", &json!({"payload": 1}));
    for attempt in 1..=2 {
        let mut worker = fresh.client();
        let tx::SelectOk {} = worker.call(1, tx::Select {}).unwrap();
        work(&mut worker, "jobs", 1);
        let job = next_job(&mut worker);
        assert_eq!((&job.task, job.attempt), (&task, attempt));
        publish(&mut worker, "next", true, b"follow-up");
        job.reply(&mut worker, 1, true, b"done");
        job.ack(&mut worker, 1);
        match attempt {
            1 => drop(worker),
            _ => kill(&mut fresh),
        }
    }
    let (mut api, mut worker) = (Api::open(&fresh), fresh.client());
    assert_eq!((api.state(&task).as_str(), api.ready("next")), ("ready", 0));
    let tx::SelectOk {} = worker.call(1, tx::Select {}).unwrap();
    work(&mut worker, "jobs", 1);
    let job = next_job(&mut worker);
    // The broker's own death was no crash of the worker.
    assert_eq!((&job.task, job.attempt), (&task, 2));
    publish(&mut worker, "next", true, b"follow-up");
    job.reply(&mut worker, 1, true, b"done");
    job.ack(&mut worker, 1);
    let tx::CommitOk {} = worker.call(1, tx::Commit {}).unwrap();
    assert_eq!((api.state(&task).as_str(), api.ready("next")), ("succeeded", 1));
}

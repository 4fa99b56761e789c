//! Row: the broker dies inside a commit. Either all of {result, ack, publishes, idempotency key, reply message} or none.

use std::time::Duration;

use amqp_wire::tx;
use serde_json::{Value, json};
use testkit::amqp::Peer;
use testkit::http::Request;

use super::api::{Api, Lease, complete, enqueue, json_of};
use super::kills::{Sides, kill_after, sweep, time};
use super::worker::{Job, next_job, work};
use crate::support::{Fresh, publish};

const ROUNDS: u32 = 15;

/// Where the effects of a task's end go: tasks, plain messages, and the reply.
const EFFECTS: [&str; 3] = ["next", "audit", "replies"];

fn world(api: &mut Api) {
    api.put_queue("jobs");
    api.put_queue("next");
    api.put_plain_queue("audit");
    api.put_plain_queue("replies");
}

fn add(api: &mut Api, round: u32) -> String {
    api.enqueue("jobs", &json!({"payload": round, "options": {"reply_to": {"queue": "replies"}}}))
}

fn effects(api: &mut Api) -> [u64; 3] {
    EFFECTS.map(|queue| api.ready(queue))
}

/// How the task and all its effects stand: whether it is done. Part of them is a breach.
#[track_caller]
fn is_done(api: &mut Api, task: &str, round: u32) -> bool {
    let is_done = api.state(task) == "succeeded";
    let expected = u64::from(round) + u64::from(is_done);
    assert_eq!(effects(api), [expected; 3], "round {round}, done: {is_done} (P6)");
    is_done
}

fn done(lease: &Lease) -> Request {
    let publish = json!([
        {"queue": "next", "payload": lease.payload},
        {"queue": "audit", "payload": {"done": lease.payload}},
    ]);
    complete(lease, &json!({"result": lease.payload, "publish": publish}))
}

#[test]
fn a_completion_over_http_is_whole_or_not_there() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    world(&mut api);
    add(&mut api, 0);
    let lease = api.lease("jobs", "30s");
    let usual = time(|| assert_eq!(api.call(&done(&lease)).status, 200));
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        let task = add(&mut api, round);
        let lease = api.lease("jobs", "30s");
        api.send(&done(&lease));
        kill_after(&mut fresh, delay);
        let told = api.receive_from_the_dead().is_some();

        api = Api::open(&fresh);
        let stored = is_done(&mut api, &task, round);
        sides.count(stored, told);
        if !stored {
            assert_eq!(api.state(&task), "running", "the lease is kept");
        }
        assert_eq!(api.call(&done(&lease)).status, 200);
        assert!(is_done(&mut api, &task, round));
        assert_eq!(*api.result(&task).text(), *round.to_string());
    }
    println!("complete takes {usual:?}; {sides}");
}

/// Reply, follow-ups and ack in one transaction; not committed yet.
fn answer(worker: &mut Peer, job: &Job) {
    publish(worker, "next", true, &job.body);
    publish(worker, "audit", true, &job.body);
    job.reply(worker, 1, true, &job.body);
    job.ack(worker, 1);
}

fn transactional_worker(fresh: &Fresh) -> Peer {
    let mut worker = fresh.client();
    let tx::SelectOk {} = worker.call(1, tx::Select {}).unwrap();
    work(&mut worker, "jobs", 1);
    worker
}

#[test]
fn a_transaction_of_reply_ack_and_publishes_is_whole_or_not_there() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    world(&mut api);
    let mut worker = transactional_worker(&fresh);
    add(&mut api, 0);
    let job = next_job(&mut worker);
    answer(&mut worker, &job);
    let usual = time(|| worker.call(1, tx::Commit {}).map(|tx::CommitOk {}| ()).unwrap());
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        let task = add(&mut api, round);
        let job = next_job(&mut worker);
        answer(&mut worker, &job);
        worker.send(1, tx::Commit {}).unwrap();
        kill_after(&mut fresh, delay);
        let told = worker.expect::<tx::CommitOk>(1).is_ok();

        (api, worker) = (Api::open(&fresh), transactional_worker(&fresh));
        let stored = is_done(&mut api, &task, round);
        sides.count(stored, told);
        if !stored {
            let again = next_job(&mut worker);
            assert_eq!((&again.task, again.attempt), (&task, 1), "it was nobody's fault");
            answer(&mut worker, &again);
            let tx::CommitOk {} = worker.call(1, tx::Commit {}).unwrap();
        }
        assert!(is_done(&mut api, &task, round));
        assert_eq!(*api.result(&task).text(), *round.to_string());
    }
    println!("tx.commit takes {usual:?}; {sides}");
}

#[test]
fn tasks_of_one_request_enter_together_with_their_key() {
    const TASKS: u64 = 50;
    let list = |round: u32| {
        let tasks: Vec<Value> = (0..TASKS).map(|number| json!({"payload": [round, number]})).collect();
        enqueue("jobs", &Value::Array(tasks)).header("Idempotency-Key", format!("round-{round}"))
    };
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let usual: Duration = time(|| assert_eq!(api.call(&list(0)).status, 202));
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        api.send(&list(round));
        kill_after(&mut fresh, delay);
        let first = api.receive_from_the_dead();

        api = Api::open(&fresh);
        let before = u64::from(round) * TASKS;
        let ready = api.ready("jobs");
        assert!(ready == before || ready == before + TASKS, "{ready} tasks, {before} before (P6)");
        let repeated = api.call(&list(round));
        let was_stored = repeated.header("idempotency-replayed") == Some("true");
        assert_eq!(was_stored, ready > before, "the key is stored with its tasks");
        sides.count(was_stored, first.is_some());
        assert_eq!(json_of(&repeated, 202)["tasks"].as_array().unwrap().len() as u64, TASKS);
        assert_eq!(api.ready("jobs"), before + TASKS);
    }
    println!("{TASKS} tasks take {usual:?}; {sides}");
}

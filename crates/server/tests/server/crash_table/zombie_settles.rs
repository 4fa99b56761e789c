//! Row: a zombie settles, a worker that has lost its task without knowing. 409; its result and its publishes are refused
//! together.

use amqp_wire::{basic, channel, hot, tx};
use serde_json::json;
use testkit::amqp::Peer;
use testkit::http::Request;

use super::api::{Api, Lease, check_problem, complete};
use super::kills::kill;
use super::worker::{Job, next_job, work};
use crate::support::Fresh;

fn done(lease: &Lease, by: &str) -> Request {
    complete(lease, &json!({"result": by, "publish": [{"queue": "next", "payload": by}]}))
}

/// What the zombie says is refused as a whole: nothing follows from it.
#[track_caller]
fn check_refused(api: &mut Api, zombie: &Lease) {
    let [lease, next] = [&zombie.id, "next"].map(str::to_owned);
    let before = (api.status(&zombie.task), api.ready(&next));
    check_problem(&api.call(&done(zombie, "zombie")), 409, "lease-lost");
    let fail =
        Request::post(format!("/v1/leases/{lease}/fail")).json(r#"{"error":{"title":"no"},"retry":false}"#);
    check_problem(&api.call(&fail), 409, "lease-lost");
    check_problem(
        &api.call(&Request::post(format!("/v1/leases/{lease}/release")).json("{}")),
        409,
        "lease-lost",
    );
    let extend = Request::new("PATCH", format!("/v1/leases/{lease}")).json(r#"{"extend":"30s"}"#);
    check_problem(&api.call(&extend), 409, "lease-lost");
    assert_eq!((api.status(&zombie.task), api.ready(&next)), before);
}

#[test]
fn a_lease_that_ran_out_settles_nothing_before_and_after_the_task_is_done() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    api.put_queue("next");
    let task = api.enqueue("jobs", &json!({"payload": 1}));
    let zombie = api.lease("jobs", "1s");
    let worker = api.lease("jobs", "30s");
    assert_eq!(worker.task, task);
    check_refused(&mut api, &zombie);
    kill(&mut fresh);

    let mut api = Api::open(&fresh);
    assert_eq!(api.state(&task), "running");
    check_refused(&mut api, &zombie);
    assert_eq!(api.call(&done(&worker, "worker")).status, 200);
    check_refused(&mut api, &zombie);
    kill(&mut fresh);

    let mut api = Api::open(&fresh);
    check_refused(&mut api, &zombie);
    assert_eq!((&*api.result(&task).text(), api.ready("next")), ("\"worker\"", 1));
    assert_eq!(api.lease("next", "30s").payload, "worker");
}

/// Replies in a transaction, with a follow-up: both or none.
fn reply_in_transaction(peer: &mut Peer, job: &Job, body: &[u8]) -> Result<(), u16> {
    peer.open_channel(2).unwrap();
    let tx::SelectOk {} = peer.call(2, tx::Select {}).unwrap();
    let follow_up = hot::Publication { exchange: b"", routing_key: b"next", mandatory: true };
    peer.publish(2, &follow_up, &testkit::amqp::persistent(), b"follow-up").unwrap();
    job.reply(peer, 2, true, body);
    peer.send(2, tx::Commit {}).unwrap();
    // A refused commit closes the channel.
    let refused = match peer.receive().unwrap() {
        incoming if incoming.get::<tx::CommitOk>().is_some() => return Ok(()),
        incoming => incoming.get::<channel::Close>().unwrap_or_else(|| panic!("{incoming:?}")),
    };
    peer.send(2, channel::CloseOk {}).unwrap();
    Err(refused.reply_code)
}

/// Replies to an address that is not in force any more: told, if the message says so, and nothing else.
fn check_stale(fresh: &Fresh, job: &Job) {
    let (mut api, mut peer) = (Api::open(fresh), fresh.publisher());
    let before = (api.status(&job.task), api.ready("next"));
    job.reply(&mut peer, 1, true, b"zombie");
    let returned: basic::Return = peer.expect(1).unwrap();
    assert_eq!((returned.reply_code, &*returned.reply_text), (312, &b"NO_ROUTE"[..]));
    assert_eq!(returned.routing_key, job.reply_to);
    let _: basic::Ack = peer.expect(1).unwrap();
    job.reply(&mut peer, 1, false, b"zombie");
    let _: basic::Ack = peer.expect(1).unwrap();
    assert_eq!(reply_in_transaction(&mut peer, job, b"zombie"), Err(406));
    assert_eq!((api.status(&job.task), api.ready("next")), before);
}

#[test]
fn a_reply_to_a_lost_delivery_changes_nothing() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    api.put_queue("next");
    let task = api.enqueue("jobs", &json!({"payload": 1}));
    let mut zombie = fresh.client();
    work(&mut zombie, "jobs", 1);
    let lost = next_job(&mut zombie);
    drop(zombie);

    let mut worker = fresh.client();
    work(&mut worker, "jobs", 1);
    let held = next_job(&mut worker);
    assert!(held.task == task && held.epoch > lost.epoch && held.reply_to != lost.reply_to);
    check_stale(&fresh, &lost);
    kill(&mut fresh);

    // Now the second worker is a zombie as well, and has not noticed.
    check_stale(&fresh, &lost);
    check_stale(&fresh, &held);
    let mut worker = fresh.client();
    work(&mut worker, "jobs", 1);
    let job = next_job(&mut worker);
    assert_eq!(reply_in_transaction(&mut worker, &job, b"worker"), Ok(()));
    job.ack(&mut worker, 1);
    check_stale(&fresh, &held);
    check_stale(&fresh, &job);
    let mut api = Api::open(&fresh);
    assert_eq!((&*api.result(&task).text(), api.ready("next")), ("worker", 1));
}

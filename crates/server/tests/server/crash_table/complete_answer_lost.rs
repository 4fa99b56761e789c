//! Row: `complete` was committed, and its answer is lost. The repeated `complete` with the same lease is answered 200,
//! and nothing happens twice.

use serde_json::{Value, json};
use testkit::http::Request;

use super::api::{Api, Lease, complete, json_of};
use super::kills::{Sides, kill, kill_after, sweep, time};
use crate::support::Fresh;

const ROUNDS: u32 = 20;

fn done(lease: &Lease) -> Request {
    let publish = json!([{"queue": "next", "payload": lease.payload}]);
    complete(lease, &json!({"result": {"of": lease.payload}, "publish": publish}))
}

fn world(api: &mut Api) {
    api.put_queue("jobs");
    api.put_queue("next");
}

#[test]
fn a_repeated_complete_is_answered_alike_and_does_nothing_twice() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    world(&mut api);
    api.enqueue("jobs", &json!({"payload": 0}));
    let lease = api.lease("jobs", "30s");
    let usual = time(|| assert_eq!(api.call(&done(&lease)).status, 200));
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        let task = api.enqueue("jobs", &json!({"payload": round}));
        let lease = api.lease("jobs", "30s");
        assert_eq!(lease.task, task);
        api.send(&done(&lease));
        kill_after(&mut fresh, delay);
        let first = api.receive_from_the_dead();

        api = Api::open(&fresh);
        let was_stored = api.state(&task) == "succeeded";
        sides.count(was_stored, first.is_some());
        assert_eq!(api.ready("next"), u64::from(round) + u64::from(was_stored), "all or nothing");
        let repeated = json_of(&api.call(&done(&lease)), 200);
        assert_eq!((&repeated["state"], &repeated["task"]), (&json!("succeeded"), &json!(task)));
        if let Some(first) = first {
            assert_eq!(json_of(&first, 200), repeated);
        }
        assert_eq!(json_of(&api.call(&done(&lease)), 200), repeated);
        check_follow_up(&mut api, &repeated, round);
        assert_eq!(api.ready("next"), u64::from(round) + 1);
    }
    println!("complete takes {usual:?}; {sides}");
    let payloads: Vec<Value> = api.lease_now("next", 100).into_iter().map(|lease| lease.payload).collect();
    assert_eq!(payloads, (0..=ROUNDS).map(|round| json!(round)).collect::<Vec<_>>());
}

#[test]
fn a_complete_that_was_stored_and_never_answered_can_be_repeated() {
    let mut fresh = Fresh::start();
    let (mut worker, mut witness) = (Api::open(&fresh), Api::open(&fresh));
    world(&mut worker);
    let task = worker.enqueue("jobs", &json!({"payload": 7}));
    let lease = worker.lease("jobs", "30s");
    worker.send(&done(&lease));
    witness.wait_until("the task is done", |witness| witness.state(&task) == "succeeded");
    drop(worker);
    kill(&mut fresh);

    let mut worker = Api::open(&fresh);
    assert_eq!((worker.state(&task).as_str(), worker.ready("next")), ("succeeded", 1));
    let repeated = json_of(&worker.call(&done(&lease)), 200);
    assert_eq!(repeated["state"], "succeeded");
    check_follow_up(&mut worker, &repeated, 7);
    assert_eq!((&*worker.result(&task).text(), worker.ready("next")), (r#"{"of":7}"#, 1));
}

/// The one task that a completion says to have published is there.
fn check_follow_up(api: &mut Api, settled: &Value, round: u32) {
    let published = settled["published"].as_array().unwrap();
    assert_eq!(published.len(), 1, "round {round}: {settled}");
    let follow_up = api.status(published[0].as_str().unwrap());
    assert_eq!((&follow_up["queue"], &follow_up["state"]), (&json!("next"), &json!("ready")));
}

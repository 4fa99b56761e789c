//! Row: the client gets no answer to its POST. It repeats it under the same key: one task, whether or not the first
//! commit happened.

use serde_json::json;
use testkit::http::Request;

use super::api::{Api, enqueue, json_of, text};
use super::kills::{Sides, kill, kill_after, sweep, time};
use crate::support::Fresh;

const ROUNDS: u32 = 20;

fn post(round: u32) -> Request {
    enqueue("jobs", &json!({"payload": round})).header("Idempotency-Key", format!("round-{round}"))
}

#[test]
fn a_repeated_post_makes_one_task_on_either_side_of_the_commit() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let usual = time(|| assert_eq!(api.call(&post(0)).status, 202));
    let mut sides = Sides::default();
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        api.send(&post(round));
        kill_after(&mut fresh, delay);
        let first = api.receive_from_the_dead();

        api = Api::open(&fresh);
        let repeated = api.call(&post(round));
        let id = text(&json_of(&repeated, 202)["id"]);
        sides.count(repeated.header("idempotency-replayed") == Some("true"), first.is_some());
        if let Some(first) = first {
            assert_eq!(text(&json_of(&first, 202)["id"]), id);
        }
        assert_eq!(text(&json_of(&api.call(&post(round)), 202)["id"]), id);
    }
    println!("POST takes {usual:?}; {sides}");
    assert_eq!(api.ready("jobs"), u64::from(ROUNDS) + 1);
    let leases = api.lease_now("jobs", 100);
    let payloads: Vec<u64> = leases.iter().map(|lease| lease.payload.as_u64().unwrap()).collect();
    assert_eq!(payloads, (0..=u64::from(ROUNDS)).collect::<Vec<_>>());
}

#[test]
fn a_post_that_was_stored_and_never_answered_is_there_once() {
    let mut fresh = Fresh::start();
    let (mut client, mut witness) = (Api::open(&fresh), Api::open(&fresh));
    client.put_queue("jobs");
    client.send(&post(1));
    witness.wait_until("the task is there", |witness| witness.ready("jobs") == 1);
    drop(client);
    kill(&mut fresh);

    let mut client = Api::open(&fresh);
    let repeated = client.call(&post(1));
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"), "{}", repeated.text());
    assert_eq!(client.ready("jobs"), 1);
}

//! Row: cancel meets complete. The first commit wins, and the loser gets 409.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::http::{Request, Response};

use super::api::{Api, Lease, cancel, check_problem, complete, json_of};
use super::kills::{kill, kill_after, sweep, time};
use crate::support::Fresh;

const ROUNDS: u32 = 20;

fn done(lease: &Lease) -> Request {
    complete(
        lease,
        &json!({"result": lease.payload, "publish": [{"queue": "next", "payload": lease.payload}]}),
    )
}

/// A worker and somebody who changes their mind, on a connection each.
struct Rivals {
    worker: Api,
    canceller: Api,
}

impl Rivals {
    fn open(fresh: &Fresh) -> Self {
        Self { worker: Api::open(fresh), canceller: Api::open(fresh) }
    }

    /// Sends both, one a little after the other. Which one comes first alternates.
    fn race(&mut self, lease: &Lease, round: u32) {
        let head_start = Duration::from_micros(u64::from(round) * 20);
        let (complete, cancel) = (done(lease), cancel(&lease.task));
        let started = std::time::Instant::now();
        match round % 2 {
            0 => self.worker.send(&complete),
            _ => self.canceller.send(&cancel),
        }
        while started.elapsed() < head_start {
            std::hint::spin_loop();
        }
        match round % 2 {
            0 => self.canceller.send(&cancel),
            _ => self.worker.send(&complete),
        }
    }

    fn next_lease(&mut self, round: u32) -> Lease {
        let task = self.worker.enqueue("jobs", &json!({"payload": round}));
        let lease = self.worker.lease("jobs", "30s");
        assert_eq!(lease.task, task);
        lease
    }
}

/// That task, result and follow-ups say the same: how the task has ended.
#[track_caller]
fn check_end(api: &mut Api, lease: &Lease, follow_ups: u64) -> String {
    let state = api.state(&lease.task);
    let result = api.result(&lease.task);
    match state.as_str() {
        "succeeded" => assert_eq!((result.status, &*result.text()), (200, &*lease.payload.to_string())),
        "cancelled" => check_problem(&result, 410, "task-cancelled"),
        other => panic!("{other} after a cancel and a complete"),
    }
    assert_eq!(api.ready("next"), follow_ups + u64::from(state == "succeeded"));
    state
}

/// One of the two was accepted, and the task ended as that one said.
#[track_caller]
fn check_answers(completed: &Response, cancelled: &Response, state: &str) {
    match state {
        "succeeded" => {
            assert_eq!(json_of(completed, 200)["state"], "succeeded");
            check_problem(cancelled, 409, "task-ended");
        }
        _ => {
            assert_eq!(json_of(cancelled, 202)["state"], "cancelled");
            assert_eq!(completed.status, 409, "{}", completed.text());
        }
    }
}

#[test]
fn one_wins_and_the_other_is_told() {
    let mut fresh = Fresh::start();
    let mut rivals = Rivals::open(&fresh);
    rivals.worker.put_queue("jobs");
    rivals.worker.put_queue("next");
    let mut ends: Vec<(Lease, String)> = Vec::new();
    let mut succeeded = 0;
    for round in 0..ROUNDS {
        let lease = rivals.next_lease(round);
        rivals.race(&lease, round);
        let (completed, cancelled) = (rivals.worker.receive(), rivals.canceller.receive());
        let state = check_end(&mut rivals.worker, &lease, succeeded);
        check_answers(&completed, &cancelled, &state);
        succeeded += u64::from(state == "succeeded");
        ends.push((lease, state));
    }
    println!("{succeeded} of {ROUNDS} tasks were done before they could be cancelled");
    kill(&mut fresh);

    let mut api = Api::open(&fresh);
    for (lease, state) in &ends {
        assert_eq!(&api.state(&lease.task), state);
        assert_eq!(api.call(&done(lease)).status, if state == "succeeded" { 200 } else { 409 });
        check_problem(&api.call(&cancel(&lease.task)), 409, "task-ended");
    }
    let follow_ups: Vec<Value> = api.lease_now("next", 100).into_iter().map(|lease| lease.payload).collect();
    let done = ends.iter().filter(|(_, state)| state == "succeeded");
    assert_eq!(follow_ups, done.map(|(lease, _)| lease.payload.clone()).collect::<Vec<_>>());
}

#[test]
fn who_was_told_of_a_victory_has_won_also_after_a_kill() {
    let mut fresh = Fresh::start();
    let mut rivals = Rivals::open(&fresh);
    rivals.worker.put_queue("jobs");
    rivals.worker.put_queue("next");
    let lease = rivals.next_lease(0);
    let usual = time(|| {
        rivals.race(&lease, 0);
        rivals.worker.receive();
        rivals.canceller.receive();
    });
    let mut succeeded = u64::from(rivals.worker.state(&lease.task) == "succeeded");
    let (mut open, mut told) = (0, 0);
    for (round, delay) in (1..).zip(sweep(ROUNDS, usual)) {
        let lease = rivals.next_lease(round);
        rivals.race(&lease, round % 4);
        kill_after(&mut fresh, delay);
        let first = (rivals.worker.receive_from_the_dead(), rivals.canceller.receive_from_the_dead());

        rivals = Rivals::open(&fresh);
        if rivals.worker.state(&lease.task) == "running" {
            assert!(first.0.is_none() && first.1.is_none(), "told, but not stored (P1): {first:?}");
            open += 1;
            rivals.race(&lease, round);
            rivals.worker.receive();
            rivals.canceller.receive();
        }
        let state = check_end(&mut rivals.worker, &lease, succeeded);
        told += u32::from(first.0.is_some() || first.1.is_some());
        check_told(first.0.as_ref(), 200, &state, "succeeded");
        check_told(first.1.as_ref(), 202, &state, "cancelled");
        succeeded += u64::from(state == "succeeded");
    }
    println!(
        "both take {usual:?}; killed {open} times before the first commit, {told} times after an answer"
    );
}

/// Who was told that it won, did; and who was told that it lost, did not.
#[track_caller]
fn check_told(answer: Option<&Response>, won: u16, state: &str, own: &str) {
    if let Some(answer) = answer {
        assert_eq!(answer.status, if state == own { won } else { 409 }, "{state}: {}", answer.text());
    }
}

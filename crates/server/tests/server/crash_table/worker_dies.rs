//! Row: the worker dies before it settles. One crash more, a higher epoch, and delivered again: at least once.

use serde_json::json;

use super::api::{Api, check_problem, complete};
use super::kills::kill;
use super::worker::{next_job, work};
use crate::support::Fresh;

#[test]
fn a_cut_connection_is_a_crash_of_its_oldest_task_alone() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let [first, second] = [1, 2].map(|number| api.enqueue("jobs", &json!({"payload": number})));
    let mut worker = fresh.client();
    work(&mut worker, "jobs", 2);
    let [job, prefetched] = [next_job(&mut worker), next_job(&mut worker)];
    assert_eq!((&job.task, job.attempt), (&first, 1));
    assert_eq!(prefetched.task, second);
    drop(worker);

    let mut worker = fresh.client();
    work(&mut worker, "jobs", 2);
    let [again, prefetched_again] = [next_job(&mut worker), next_job(&mut worker)];
    assert_eq!((&again.task, again.attempt, &again.body), (&first, 2, &job.body));
    assert!(again.epoch > job.epoch, "{} after {}", again.epoch, job.epoch);
    assert_eq!((&prefetched_again.task, prefetched_again.attempt), (&second, 1));
    assert_eq!(api.status(&first)["crashes"], 1);
    assert_eq!(api.status(&second)["crashes"], 0);

    // A broker that dies with its workers blames nobody, and its epochs go on.
    kill(&mut fresh);
    let (mut api, mut worker) = (Api::open(&fresh), fresh.client());
    work(&mut worker, "jobs", 1);
    let third = next_job(&mut worker);
    assert_eq!((&third.task, third.attempt), (&first, 2));
    assert!(third.epoch > again.epoch, "{} after {}", third.epoch, again.epoch);
    third.reply(&mut worker, 1, true, b"done");
    third.ack(&mut worker, 1);
    assert_eq!(next_job(&mut worker).task, second);
    assert_eq!((api.state(&first).as_str(), &*api.result(&first).text()), ("succeeded", "done"));
}

#[test]
fn a_task_that_kills_three_workers_is_given_up() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let task = api.enqueue("jobs", &json!({"payload": "poison"}));
    for crashes in 1..=3 {
        let mut worker = fresh.client();
        work(&mut worker, "jobs", 1);
        assert_eq!(next_job(&mut worker).attempt, crashes);
        drop(worker);
        api.wait_until("the crash is counted", |api| api.status(&task)["crashes"] == crashes);
    }
    assert_eq!(api.state(&task), "failed");
    kill(&mut fresh);
    let mut api = Api::open(&fresh);
    let status = api.status(&task);
    assert_eq!((status["state"].as_str(), status["crashes"].as_u64()), (Some("failed"), Some(3)));
    check_problem(&api.result(&task), 500, "crash-loop");
    assert_eq!(api.lease_now("jobs", 1).len(), 0);
}

#[test]
fn a_lease_that_runs_out_is_a_crash_and_survives_a_restart_until_then() {
    let mut fresh = Fresh::start();
    let mut api = Api::open(&fresh);
    api.put_queue("jobs");
    let task = api.enqueue("jobs", &json!({"payload": 1}));
    let lost = api.lease("jobs", "1s");
    assert_eq!((lost.attempt, lost.crashes), (1, 0));
    let again = api.lease("jobs", "3s");
    assert_eq!((&again.task, again.attempt, again.crashes), (&task, 2, 1));
    assert!(again.epoch > lost.epoch, "{} after {}", again.epoch, lost.epoch);

    // Its worker may be at it for an hour: it keeps the task over a restart, for one more period.
    kill(&mut fresh);
    let mut api = Api::open(&fresh);
    assert_eq!(api.lease_now("jobs", 1).len(), 0);
    assert_eq!(api.state(&task), "running");
    let third = api.lease("jobs", "30s");
    assert_eq!((&third.task, third.crashes), (&task, 2));
    assert!(third.epoch > again.epoch, "{} after {}", third.epoch, again.epoch);
    assert_eq!(api.call(&complete(&third, &json!({"result": 3}))).status, 200);
    assert_eq!(api.state(&task), "succeeded");
}

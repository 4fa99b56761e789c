//! The HTTP API, as these tests use it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http::{HttpError, HttpPeer, Request, Response};

use crate::support::Fresh;

/// A connection of its own to the server. Made anew after each kill.
pub(super) struct Api {
    peer: HttpPeer,
}

/// A task that an HTTP worker holds.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) task: String,
    pub(super) payload: Value,
    pub(super) attempt: u64,
    pub(super) crashes: u64,
    pub(super) epoch: u64,
}

/// How long something that has to come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Api {
    pub(super) fn open(fresh: &Fresh) -> Self {
        Self { peer: HttpPeer::open(&fresh.server.http_address()).unwrap() }
    }

    /// Sends without waiting for the answer.
    pub(super) fn send(&mut self, request: &Request) {
        self.peer.send(request).unwrap();
    }

    /// Sends the head of a request and a part of its body.
    pub(super) fn send_half(&mut self, request: &Request) {
        let bytes = request.to_bytes();
        self.peer.send_raw(&bytes[..bytes.len() - 5]).unwrap();
    }

    pub(super) fn receive(&mut self) -> Response {
        self.peer.receive().unwrap()
    }

    /// The answer, if it got out before the server was killed.
    pub(super) fn receive_from_the_dead(&mut self) -> Option<Response> {
        match self.peer.receive() {
            Ok(response) => Some(response),
            Err(error) if error.is_disconnect() => None,
            Err(error @ (HttpError::TimedOut { .. } | HttpError::Unexpected { .. })) => panic!("{error}"),
            Err(_) => None,
        }
    }

    pub(super) fn call(&mut self, request: &Request) -> Response {
        self.peer.call(request).unwrap()
    }

    /// Makes a task queue.
    pub(super) fn put_queue(&mut self, queue: &str) {
        assert_eq!(self.call(&Request::put(format!("/v1/queues/{queue}")).json("{}")).status, 201);
    }

    /// Makes a durable queue of plain messages.
    pub(super) fn put_plain_queue(&mut self, queue: &str) {
        let request = Request::put(format!("/v1/queues/{queue}")).json(r#"{"task_queue":false}"#);
        assert_eq!(self.call(&request).status, 201);
    }

    /// How many messages or tasks of the queue wait for somebody.
    pub(super) fn ready(&mut self, queue: &str) -> u64 {
        let answer = self.call(&Request::get(format!("/v1/queues/{queue}")));
        json_of(&answer, 200)["ready"].as_u64().unwrap()
    }

    /// Adds a task and returns its id.
    pub(super) fn enqueue(&mut self, queue: &str, task: &Value) -> String {
        let answer = self.call(&enqueue(queue, task));
        text(&json_of(&answer, 202)["id"])
    }

    /// The status document of a task.
    pub(super) fn status(&mut self, task: &str) -> Value {
        json_of(&self.call(&Request::get(format!("/v1/tasks/{task}"))), 200)
    }

    pub(super) fn state(&mut self, task: &str) -> String {
        text(&self.status(task)["state"])
    }

    pub(super) fn result(&mut self, task: &str) -> Response {
        self.call(&Request::get(format!("/v1/tasks/{task}/result")))
    }

    /// The tasks that are granted at once, `max` at most.
    pub(super) fn lease_now(&mut self, queue: &str, max: u32) -> Vec<Lease> {
        leases(&self.call(&lease(queue, max, "30s")))
    }

    /// The next task of the queue, waiting for it.
    pub(super) fn lease(&mut self, queue: &str, lease_time: &str) -> Lease {
        let request = lease(queue, 1, lease_time).header("Prefer", "wait=20");
        leases(&self.call(&request)).pop().expect("a task within 20 s")
    }

    /// Waits until something is so.
    pub(super) fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            sleep(Duration::from_millis(5));
        }
    }
}

/// Adds a task to a queue.
pub(super) fn enqueue(queue: &str, task: &Value) -> Request {
    Request::post(format!("/v1/queues/{queue}/tasks")).json(task.to_string())
}

/// Completes what a lease holds.
pub(super) fn complete(lease: &Lease, document: &Value) -> Request {
    Request::post(format!("/v1/leases/{}/complete", lease.id)).json(document.to_string())
}

/// Cancels a task.
pub(super) fn cancel(task: &str) -> Request {
    Request::post(format!("/v1/tasks/{task}/cancel"))
}

fn lease(queue: &str, max: u32, lease_time: &str) -> Request {
    let document = json!({"max": max, "lease": lease_time});
    Request::post(format!("/v1/queues/{queue}/leases")).json(document.to_string())
}

fn leases(answer: &Response) -> Vec<Lease> {
    let document = json_of(answer, 200);
    let leases = document["leases"].as_array().unwrap();
    let read = |lease: &Value| {
        let number = |name: &str| lease["task"][name].as_u64().unwrap();
        Lease {
            id: text(&lease["lease"]),
            task: text(&lease["task"]["id"]),
            payload: lease["task"]["payload"].clone(),
            attempt: number("attempt"),
            crashes: number("crashes"),
            epoch: number("epoch"),
        }
    };
    leases.iter().map(read).collect()
}

/// The document of an answer that has to have this status.
#[track_caller]
pub(super) fn json_of(answer: &Response, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// That an answer is this problem.
#[track_caller]
pub(super) fn check_problem(answer: &Response, status: u16, code: &str) {
    assert_eq!(json_of(answer, status)["type"], format!("/problems/{code}"), "{}", answer.text());
}

/// A text of a document.
#[track_caller]
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

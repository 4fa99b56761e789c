//! One place for a task.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::handler::Interrupter;
use super::held::{Ending, Held};
use super::line::Line;
use super::task::{self, Leased};
use super::{Event, Handler, LeaseWorker, Outcome, Refused, Stop};
use crate::http_client::{Backoff, Connection, Request, format_duration, paths};

/// How long the broker may hold back the answer that there is no task.
const POLL: Duration = Duration::from_secs(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Does one task after the other.
pub(super) struct Slot<H> {
    worker: Arc<LeaseWorker<H>>,
    connection: Connection,
    line: Arc<Line>,
}

impl<H: Handler> Slot<H> {
    pub(super) fn new(worker: Arc<LeaseWorker<H>>, line: Arc<Line>) -> Self {
        let connection = Connection::new(worker.access.clone());
        Self { worker, connection, line }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), Refused> {
        while !stop.is_draining() {
            // A task that has come already is done. Otherwise the line is closed, by which the broker sees that nobody
            // waits any more; a task that is on its way at this moment goes to another worker when its lease is over.
            let leased = tokio::select! {
                biased;
                leased = self.lease() => leased?,
                () = stop.draining() => break,
            };
            self.work(leased, &stop).await;
        }
        Ok(())
    }

    /// Waits for a task, however long it takes, and whether the broker is there or not.
    async fn lease(&mut self) -> Result<Leased, Refused> {
        let LeaseWorker { queue, name, lease, .. } = &*self.worker;
        let wanted = json!({"max": 1, "lease": format_duration(*lease), "worker": name});
        let request = Request::json(Method::POST, paths::leases(queue), &wanted).wait(POLL);
        let mut backoff = Backoff::new();
        loop {
            match self.connection.ask(&request, POLL + ANSWER_TIMEOUT).await {
                Ok(answer) if answer.status.is_success() => match task::parse(&answer.body) {
                    Ok(leases) => {
                        self.line.works();
                        backoff.reset();
                        // One was asked for, none or one has come.
                        if let Some(leased) = leases.into_iter().next() {
                            return Ok(leased);
                        }
                        continue;
                    }
                    Err(error) => {
                        self.line.failed(&format_args!("the broker's answer is not understood: {error}"))
                    }
                },
                Ok(answer) if is_final(answer.status) => return Err(Refused(answer.problem())),
                Ok(answer) => self.line.failed(&answer.problem()),
                Err(error) => self.line.failed(&error),
            }
            sleep(backoff.next()).await;
        }
    }

    /// Does the task, and tells the broker what came of it.
    async fn work(&mut self, leased: Leased, stop: &Stop) {
        let Leased { lease, task } = leased;
        self.line.tell(Event::Taken(&task));
        let (interrupter, interruption) = Interrupter::new();
        let mut held = Held::new(&mut self.connection, &lease, self.worker.lease, &self.line);
        let mut work = std::pin::pin!(self.worker.handler.handle(&task, interruption));
        let ending = tokio::select! {
            biased;
            outcome = &mut work => Ending::Done(outcome),
            ending = held.keep() => ending,
            () = stop.now() => Ending::Stopped,
        };
        let outcome = match ending {
            Ending::Done(outcome) => outcome,
            Ending::Stopped => {
                interrupter.interrupt();
                // Kept until the handler has ended, so that nobody else begins before that.
                tokio::select! {
                    _ = &mut work => {}
                    _ = held.keep() => drop(work.await),
                }
                Outcome::Interrupted
            }
            Ending::Cancelled => {
                interrupter.interrupt();
                work.await;
                return self.line.tell(Event::Cancelled(&task));
            }
            Ending::Lost(problem) => {
                interrupter.interrupt();
                work.await;
                return self.line.tell(Event::Lost { task: &task, reason: &problem.to_string() });
            }
        };
        held.settle(&task, outcome, stop).await;
    }
}

/// Whether asking again is of no use.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && status != StatusCode::TOO_MANY_REQUESTS
        && status != StatusCode::REQUEST_TIMEOUT
}

//! A hold on a task: kept, and settled in the end.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::line::Line;
use super::{Event, Outcome, Stop, Task};
use crate::http_client::{Answer, Backoff, Connection, Problem, Request, format_duration, paths};

/// Why a handler is no longer waited for.
#[derive(Debug)]
pub(super) enum Ending {
    /// It has ended by itself.
    Done(Outcome),
    /// The worker was told to stop.
    Stopped,
    /// The task was taken back by command.
    Cancelled,
    /// The broker has given the task to somebody else, or forgotten it.
    Lost(Problem),
}

/// A hold on a task.
pub(super) struct Held<'a> {
    connection: &'a mut Connection,
    lease: &'a str,
    duration: Duration,
    line: &'a Line,
}

/// The lease is extended so many times before it would end, so that a lost beat or two do no harm.
const BEATS: u32 = 3;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broker that is away is waited for when the worker has been told to stop. A lease that could not be
/// settled by then runs out.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(5);

impl<'a> Held<'a> {
    pub(super) fn new(
        connection: &'a mut Connection,
        lease: &'a str,
        duration: Duration,
        line: &'a Line,
    ) -> Self {
        Self { connection, lease, duration, line }
    }

    /// Extends the lease again and again, and returns when there is nothing to extend any more.
    ///
    /// While the broker is away, the work goes on: after a restart the broker gives every lease a fresh period, and
    /// whoever could not be reached for another reason is told when the next beat gets through.
    pub(super) async fn keep(&mut self) -> Ending {
        let extend = json!({"extend": format_duration(self.duration)});
        let request = Request::json(Method::PATCH, paths::lease(self.lease), &extend);
        let interval = self.duration / BEATS;
        let mut pause = interval;
        let mut backoff = Backoff::new();
        loop {
            sleep(pause).await;
            pause = match self.connection.ask(&request, interval).await {
                Ok(answer) if answer.status.is_success() => {
                    self.line.works();
                    if answer.json::<Extended>().is_ok_and(|extended| extended.cancel) {
                        return Ending::Cancelled;
                    }
                    backoff.reset();
                    interval
                }
                Ok(answer) if answer.status.is_client_error() => return Ending::Lost(answer.problem()),
                Ok(answer) => {
                    self.line.failed(&answer.problem());
                    backoff.next()
                }
                Err(error) => {
                    self.line.failed(&error);
                    backoff.next()
                }
            };
        }
    }

    /// Tells the broker what came of the work, as often as it takes.
    pub(super) async fn settle(&mut self, task: &Task, outcome: Outcome, stop: &Stop) {
        let line = self.line;
        let last_word = async {
            stop.now().await;
            sleep(LAST_WORD_TIMEOUT).await;
        };
        tokio::select! {
            () = self.tell(task, outcome) => {}
            () = last_word => line.tell(Event::Lost { task, reason: "the broker is away; the lease runs out" }),
        }
    }

    async fn tell(&mut self, task: &Task, mut outcome: Outcome) {
        loop {
            let request = match outcome.settle(self.lease) {
                Ok(request) => request,
                Err(failure) => {
                    outcome = failure;
                    continue;
                }
            };
            let answer = self.insist(&request).await;
            if answer.status.is_success() {
                return self.report(task, &outcome, &answer);
            }
            let problem = answer.problem();
            let may_fail_instead =
                matches!(outcome, Outcome::Done { .. }) && answer.status != StatusCode::CONFLICT;
            if !may_fail_instead {
                return self.line.tell(Event::Lost { task, reason: &problem.to_string() });
            }
            // A result that the broker does not take, because it is too large, will be no smaller the next time.
            outcome = Outcome::hopeless("The broker refuses the result", problem.to_string());
        }
    }

    /// Asks until the broker does or refuses it.
    async fn insist(&mut self, request: &Request) -> Answer {
        let mut backoff = Backoff::new();
        loop {
            match self.connection.ask(request, ANSWER_TIMEOUT).await {
                Ok(answer) if answer.status.is_server_error() => self.line.failed(&answer.problem()),
                Ok(answer) => {
                    self.line.works();
                    return answer;
                }
                Err(error) => self.line.failed(&error),
            }
            sleep(backoff.next()).await;
        }
    }

    fn report(&self, task: &Task, outcome: &Outcome, answer: &Answer) {
        match outcome {
            Outcome::Done { .. } => self.line.tell(Event::Completed(task)),
            Outcome::Interrupted => self.line.tell(Event::Released(task)),
            Outcome::Failed { .. } => {
                let again = answer.json::<Settled>().is_ok_and(|settled| settled.state == "scheduled");
                self.line.tell(Event::Failed { task, reason: &outcome.reason(), again });
            }
        }
    }
}

#[derive(Deserialize)]
struct Extended {
    #[serde(default)]
    cancel: bool,
}

#[derive(Deserialize)]
struct Settled {
    state: String,
}

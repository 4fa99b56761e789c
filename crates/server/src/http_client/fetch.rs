//! Waiting for the result of a task, however often the line breaks.

use std::fmt;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::{Answer, Backoff, Connection, HttpError, Problem, Request, paths};

/// What became of a [`super::Call`] or a [`Fetch`].
#[derive(Debug)]
pub(crate) enum Ending {
    /// The task was done; this is its result.
    Succeeded(Answer),
    /// The task failed, was cancelled, or expired.
    Failed(Problem),
    /// The time is up, and the task is still to be done.
    Late {
        /// The task's id.
        task: String,
    },
    /// The server does not do what it was asked for.
    Refused(Problem),
    /// The time is up, and the server did not answer, so that nothing is known of the task.
    Unanswered(HttpError),
}

/// What happens on the way and is made up for.
#[derive(Debug)]
pub(crate) enum Trouble<'a> {
    /// There was no answer; the request will be repeated.
    NoAnswer(&'a HttpError),
    /// The server cannot take the request now; it will be repeated.
    Busy(&'a Problem),
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => error.fmt(formatter),
            Self::Busy(problem) => problem.fmt(formatter),
        }
    }
}

/// Waits for the result of a task.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// The task's id.
    pub(crate) task: String,
    /// How long to wait, broken lines included. Zero asks once.
    pub(crate) wait: Duration,
}

/// Waited at most within one request, which common proxies cut at 60 s.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(55);
/// A server that is unavailable is asked again after this at the latest.
const UNAVAILABLE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// What an answer may take beyond the wait that was asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Fetch {
    /// Asks until the task has ended or the time is up.
    pub(crate) async fn make(&self, connection: &mut Connection, observe: impl FnMut(Trouble<'_>)) -> Ending {
        Persistence::new(connection, self.wait, observe).fetch(&self.task).await
    }
}

/// Repeats requests until they are answered or the time is up.
pub(super) struct Persistence<'a, F> {
    connection: &'a mut Connection,
    deadline: Instant,
    backoff: Backoff,
    was_reached: bool,
    observe: F,
}

impl<'a, F: FnMut(Trouble<'_>)> Persistence<'a, F> {
    pub(super) fn new(connection: &'a mut Connection, wait: Duration, observe: F) -> Self {
        let deadline = Instant::now() + wait;
        Self { connection, deadline, backoff: Backoff::new(), was_reached: false, observe }
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Asks for the result until it is there.
    pub(super) async fn fetch(&mut self, task: &str) -> Ending {
        let request = Request::new(Method::GET, paths::result(task));
        loop {
            let ending = match self.ask(&request).await {
                Ok(answer) => ending_of(answer),
                Err(ending) => return ending,
            };
            match ending {
                // A server that does not wait as long as it was asked to is asked again, but not in a hot loop.
                Ending::Late { .. } if !self.remaining().is_zero() => {
                    sleep(self.backoff.next().min(self.remaining())).await;
                }
                ending => return ending,
            }
        }
    }

    /// Asks until there is an answer that is more than "not now".
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, Ending> {
        loop {
            let wait = self.remaining().min(REQUEST_WAIT_MAX);
            let outcome = self.connection.ask(&request.clone().wait(wait), wait + ANSWER_TIMEOUT).await;
            let pause = match outcome {
                Ok(answer) if is_not_now(&answer) => {
                    let problem = answer.problem();
                    let pause = pause_after(&answer).unwrap_or_else(|| self.backoff.next());
                    if pause >= self.remaining() {
                        return Err(Ending::Refused(problem));
                    }
                    (self.observe)(Trouble::Busy(&problem));
                    self.was_reached = true;
                    pause
                }
                Ok(answer) => {
                    self.backoff.reset();
                    self.was_reached = true;
                    return Ok(answer);
                }
                // Whoever names a server that is not there wants to know at once.
                Err(error @ HttpError::Unreachable { .. }) if !self.was_reached => {
                    return Err(Ending::Unanswered(error));
                }
                Err(error) => {
                    let pause = self.backoff.next();
                    if pause >= self.remaining() || matches!(error, HttpError::TooLarge { .. }) {
                        return Err(Ending::Unanswered(error));
                    }
                    (self.observe)(Trouble::NoAnswer(&error));
                    self.was_reached = true;
                    pause
                }
            };
            sleep(pause).await;
        }
    }
}

/// How long to leave the server alone. One that stops can only guess when it will be back, and a full queue knows.
fn pause_after(answer: &Answer) -> Option<Duration> {
    let pause = answer.retry_after()?;
    Some(if answer.is_unavailable() { pause.min(UNAVAILABLE_PAUSE_MAX) } else { pause })
}

/// What the answer to a call, or to the question for a result, means.
pub(super) fn ending_of(answer: Answer) -> Ending {
    match answer.status {
        StatusCode::ACCEPTED => match task_of(&answer) {
            Some(task) => Ending::Late { task },
            None => Ending::Refused(nameless(&answer)),
        },
        status if status.as_u16() < 400 => Ending::Succeeded(answer),
        _ if tells_of_the_task(&answer) => Ending::Failed(answer.problem()),
        _ => Ending::Refused(answer.problem()),
    }
}

/// The server itself cannot serve now. A worker may choose such a status for its task, which is an answer.
fn is_not_now(answer: &Answer) -> bool {
    let status_may_pass = answer.is_unavailable() || answer.status == StatusCode::TOO_MANY_REQUESTS;
    status_may_pass && (!tells_of_the_task(answer) || answer.retry_after().is_some())
}

/// Whether a failure is the task's own, not the request's.
fn tells_of_the_task(answer: &Answer) -> bool {
    answer.header(TASK_ID).is_some()
}

/// The task that an answer is about.
pub(super) fn task_of(answer: &Answer) -> Option<String> {
    let from_location = || answer.location()?.rsplit('/').next();
    answer.header(TASK_ID).or_else(from_location).filter(|task| !task.is_empty()).map(str::to_owned)
}

fn nameless(answer: &Answer) -> Problem {
    let detail = "the server has accepted the task and does not say its id".to_owned();
    Problem { detail, ..answer.problem() }
}

const TASK_ID: &str = "task-id";

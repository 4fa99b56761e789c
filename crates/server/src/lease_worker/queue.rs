//! The queue that a worker works on.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::line::Line;
use super::{Event, Refused, Stop};
use crate::http_client::{Access, Answer, Backoff, Connection, HttpError, Request, paths};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the queue if it is missing. A broker that is away is waited for, unless the worker is told to stop.
pub(super) async fn make_if_missing(
    access: &Access,
    queue: &str,
    line: &Line,
    stop: &Stop,
) -> Result<(), Refused> {
    let mut connection = Connection::new(access.clone());
    let mut backoff = Backoff::new();
    loop {
        let attempt = tokio::select! {
            () = stop.draining() => return Ok(()),
            attempt = try_to_make(&mut connection, queue) => attempt,
        };
        match attempt {
            Ok(Made::Already) => {
                line.works();
                return Ok(());
            }
            Ok(Made::Now) => {
                line.works();
                line.tell(Event::QueueMade);
                return Ok(());
            }
            Ok(Made::Refused(answer)) if answer.status.is_client_error() => {
                return Err(Refused(answer.problem()));
            }
            Ok(Made::Refused(answer)) => line.failed(&answer.problem()),
            Err(error) => line.failed(&error),
        }
        tokio::select! {
            () = stop.draining() => return Ok(()),
            () = sleep(backoff.next()) => {}
        }
    }
}

enum Made {
    Already,
    Now,
    Refused(Answer),
}

/// Asked for before it is made, because a queue that has a limit is not the same as one without, and stays as it is.
async fn try_to_make(connection: &mut Connection, queue: &str) -> Result<Made, HttpError> {
    let path = paths::queue(queue);
    let found = connection.ask(&Request::new(Method::GET, &path), ANSWER_TIMEOUT).await?;
    match found.status {
        StatusCode::OK => return Ok(Made::Already),
        StatusCode::NOT_FOUND => {}
        _ => return Ok(Made::Refused(found)),
    }
    let made = connection.ask(&Request::json(Method::PUT, path, &json!({})), ANSWER_TIMEOUT).await?;
    Ok(match made.status {
        StatusCode::CREATED => Made::Now,
        status if status.is_success() => Made::Already,
        _ => Made::Refused(made),
    })
}

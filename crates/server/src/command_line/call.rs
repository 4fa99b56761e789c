//! `forebay call`

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderValue;

use super::Failure;
use super::api::{self, Api};
use crate::http_client::{self, Connection, Ending, parse_duration};
use crate::randomness::random;

/// Put a task into a queue, wait for the worker, and print what it answers.
///
/// When the line to the broker breaks, the request is repeated with the same key, so that there is one task and no
/// answer is lost. When the time is up, the task goes on: its id is printed, and `forebay result ID` gets the result.
#[derive(Debug, clap::Args)]
#[command(after_long_help = api::EXIT_CODES)]
pub(super) struct Call {
    #[command(flatten)]
    api: Api,
    /// The queue
    queue: String,
    /// A file with what the worker gets; - or nothing reads standard input
    #[arg(conflicts_with = "body")]
    file: Option<PathBuf>,
    /// What the worker gets
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The task's name, by which workers find the function
    #[arg(long, value_parser = api::header_value)]
    name: Option<HeaderValue>,
    /// The type of what the worker gets; without it text if it is UTF-8, or else bytes
    #[arg(long, value_name = "TYPE", value_parser = api::header_value)]
    content_type: Option<HeaderValue>,
    /// How long to wait, in whole seconds at the broker; 0s puts the task into the queue and prints its id
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    wait: Duration,
    /// An Idempotency-Key: calls with the same key are one task; without it each call has its own
    #[arg(long, value_parser = api::header_value)]
    key: Option<HeaderValue>,
}

impl Call {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut connection = Connection::new(self.api.access());
        let call = self.into_call()?;
        let ending = api::runtime()?.block_on(call.make(&mut connection, api::tell_once()));
        match ending {
            Ending::Succeeded(answer) => return api::print_result(&answer),
            // For a script, the id is the output of a call that is late.
            Ending::Late { ref task } => api::print(format!("{task}\n").as_bytes())?,
            Ending::Refused(ref problem) if problem.is("queue-not-found") => {
                eprintln!("forebay: `forebay work {} --exec CMD` makes the queue", call.queue);
            }
            Ending::Unanswered(http_client::HttpError::Unreachable { .. }) => {}
            Ending::Unanswered(_) => {
                let key = call.key.to_str().unwrap_or_default();
                eprintln!(
                    "forebay: whether the task was accepted is not known; --key {key} makes it the same task"
                );
            }
            _ => {}
        }
        let late =
            |task: &str| format!("not done yet; `forebay result {task} --wait 30s` waits for the result");
        Err(api::failure(ending, late))
    }

    fn into_call(self) -> Result<http_client::Call, Failure> {
        let body = match self.body {
            Some(body) => body.into_bytes(),
            None => api::read_input(self.file.as_deref())?,
        };
        Ok(http_client::Call {
            queue: self.queue,
            name: self.name,
            content_type: self.content_type.unwrap_or_else(|| api::content_type_of(&body)),
            body: body.into(),
            key: self.key.unwrap_or_else(fresh_key),
            wait: self.wait,
        })
    }
}

/// A key that nobody else has.
fn fresh_key() -> HeaderValue {
    let key = format!("{:016x}{:016x}", random(), random());
    HeaderValue::try_from(key).expect("digits are visible ASCII")
}

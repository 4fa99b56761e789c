//! `forebay result`

use std::time::Duration;

use super::Failure;
use super::api::{self, Api};
use crate::http_client::{Connection, Ending, Fetch, parse_duration};

/// Print the result of a task.
///
/// It can be fetched as often as wanted, as long as the broker keeps it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = api::EXIT_CODES)]
pub(super) struct Result {
    #[command(flatten)]
    api: Api,
    /// The task's id
    #[arg(value_name = "ID")]
    task: String,
    /// How long to wait for it, in whole seconds at the broker
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    wait: Duration,
}

impl Result {
    pub(super) fn run(self) -> std::result::Result<(), Failure> {
        let mut connection = Connection::new(self.api.access());
        let fetch = Fetch { task: self.task, wait: self.wait };
        match api::runtime()?.block_on(fetch.make(&mut connection, api::tell_once())) {
            Ending::Succeeded(answer) => api::print_result(&answer),
            ending => Err(api::failure(ending, |task| {
                format!("task {task} is not done yet; --wait 30s waits for it")
            })),
        }
    }
}

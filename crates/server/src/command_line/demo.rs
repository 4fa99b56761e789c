//! `forebay demo`, and the workers that it starts

use std::time::Duration;

use clap::ValueEnum;

use super::api::runtime;
use super::{Failure, exit};
use crate::demo::{self, Scale, Screen};
use crate::http_client::parse_duration;
use crate::signals::StopSignals;

/// Show what a queue changes between a web service and a slow provider, measured on this machine.
///
/// It starts a broker on a temporary data directory, workers, a slow 'SMS provider' and hundreds of callers; below 30
/// seconds. Exit code 1 when a message was lost or an answer was wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How much of it
    #[arg(long, value_enum, default_value_t = Size::Full)]
    scale: Size,
    /// Plain lines, without drawing in the terminal
    #[arg(long)]
    plain: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Size {
    /// Up to 500 callers
    Full,
    /// Everything, but little of it, in some seconds
    Small,
}

/// Exit code when something was lost or wrong.
const BROKEN_PROMISE: u8 = 1;
/// Exit code when the person at the terminal has seen enough.
const INTERRUPTED: u8 = 130;

const NEXT: &str = "\
Next, on your own queue:
  forebay serve &
  forebay work shout --exec 'tr a-z A-Z' &
  echo hello | forebay call shout
  curl -u guest:guest -d hello http://127.0.0.1:15672/v1/queues/shout/call";

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let scale = match self.scale {
            Size::Full => Scale::FULL,
            Size::Small => Scale::SMALL,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        let report = runtime.block_on(async {
            let mut signals = StopSignals::listen().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
            tokio::select! {
                report = demo::play(scale, Screen::new(self.plain)) => {
                    report.map_err(|error| Failure::new(exit::UNAVAILABLE, error))
                }
                // What was started ends with what is dropped here.
                signal = signals.next() => Err(Failure::new(INTERRUPTED, anyhow::anyhow!("{signal}: stopped"))),
            }
        })?;
        runtime.shutdown_background();
        let mut screen = Screen::new(self.plain);
        screen.line(&format!("\n{report}"));
        if let Some(problem) = report.problem() {
            return Err(Failure::new(BROKEN_PROMISE, anyhow::anyhow!("{problem}")));
        }
        screen.line(&format!("Nothing was lost, and every answer was the right one.\n\n{NEXT}"));
        Ok(())
    }
}

/// One of the demonstration's workers: takes tasks and calls the provider, until its standard input ends.
#[derive(Debug, clap::Args)]
pub(super) struct DemoWorker {
    /// The broker's HTTP API, as host:port
    #[arg(long)]
    broker: String,
    /// The provider, as host:port
    #[arg(long)]
    provider: String,
    /// How long the broker waits for a sign of life
    #[arg(long, value_parser = parse_duration)]
    lease: Duration,
}

impl DemoWorker {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let outcome = runtime.block_on(demo::work(&self.broker, &self.provider, self.lease));
        // The thread that reads standard input cannot be waited for.
        runtime.shutdown_background();
        outcome.map_err(|refused| Failure::new(exit::UNAVAILABLE, refused))
    }
}

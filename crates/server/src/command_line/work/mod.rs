//! `forebay work`

mod exit_code;
mod output;
mod program;
mod report;

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::sleep;

use super::api::{self, Api};
use super::{Failure, exit};
use crate::http_client::parse_duration;
use crate::lease_worker::{LeaseWorker, Stop, Stopper};
use crate::signals::StopSignals;
use program::Program;
use report::Report;

/// Do the tasks of a queue with a program.
///
/// The program runs through `sh -c`, once for each task: the payload is its standard input, its standard output the
/// result. It finds in its environment FOREBAY_TASK_ID (the same for every attempt: good for making outside effects
/// once), FOREBAY_TASK_NAME, FOREBAY_ATTEMPT (counts from 1), FOREBAY_EPOCH (grows with every delivery), FOREBAY_QUEUE
/// and FOREBAY_CONTENT_TYPE. What it writes to standard error is passed on, and the last 4 KB of it go with a failure.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Work {
    #[command(flatten)]
    api: Api,
    /// The queue; made, as a task queue, if it is missing
    queue: String,
    /// The program, as typed into a shell
    #[arg(long, value_name = "COMMAND")]
    exec: String,
    /// How many run at once
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// How long the broker waits for a sign of life of this worker before it gives its task to another one, 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lease_duration)]
    lease: Duration,
    /// How long running programs may go on after the first SIGINT or SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    grace: Duration,
    /// The type of the results; without it text if they are UTF-8, or else bytes
    #[arg(long, value_name = "TYPE", value_parser = api::header_value)]
    result_type: Option<HeaderValue>,
    /// Tell of each task
    #[arg(long, short)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
What the program's exit code means for the task:
  0            done; standard output, at most 16 MB, is the result
  65, 100      failed for good: another attempt would fail in the same way
  any other    this attempt failed, as by 75 or 111; there will be another one after a while, up to the task's
               max_attempts. The same for a program that a signal ended.

When the task is cancelled, or the broker has given it to another worker, the program gets SIGTERM, and after 5 s
SIGKILL. Both go to its process group.

The first SIGINT or SIGTERM lets running programs finish, for as long as --grace says; then, or by the second one, they
are ended as above and their tasks are given back.";

impl Work {
    pub(super) fn run(self) -> Result<(), Failure> {
        api::runtime()?.block_on(async {
            let mut signals = StopSignals::listen().map_err(|error| Failure::new(exit::SOFTWARE, error))?;
            let (grace, report) = (self.grace, Arc::new(Report::new(&self.queue, self.verbose)));
            let (stopper, stop) = Stopper::new();
            let work = self.work(stop, &report);
            tokio::select! {
                outcome = work => outcome?,
                () = pass_on(&mut signals, &stopper, grace) => {}
            }
            report.summary();
            Ok(())
        })
    }

    async fn work(self, stop: Stop, report: &Arc<Report>) -> Result<(), Failure> {
        let worker = LeaseWorker {
            access: self.api.access(),
            name: worker_name(),
            lease: self.lease,
            concurrency: self.concurrency.into(),
            handler: Program { command: self.exec, queue: self.queue.clone(), result_type: self.result_type },
            queue: self.queue,
        };
        report.begin(&worker.access.address, worker.concurrency);
        let report = Arc::clone(report);
        let outcome = worker.run(stop, move |event| report.tell(&event)).await;
        outcome.map_err(|refused| Failure::new(exit::DATA, refused))
    }
}

/// Tells the worker what the signals mean. Returns by the third, which is for people who have no patience left.
async fn pass_on(signals: &mut StopSignals, stopper: &Stopper, grace: Duration) {
    let signal = signals.next().await;
    eprintln!("forebay: {signal}: finishing what runs, for at most {grace:?}; again to give it back now");
    stopper.drain();
    tokio::select! {
        _ = signals.next() => {}
        () = sleep(grace) => {}
    }
    eprintln!("forebay: ending what still runs, and giving the tasks back");
    stopper.now();
    signals.next().await;
}

/// The machine and the process.
fn worker_name() -> String {
    let system = rustix::system::uname();
    format!("{}:{}", system.nodename().to_string_lossy(), std::process::id())
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text)?;
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
    if (least..=most).contains(&lease) { Ok(lease) } else { Err(format!("'{text}' is not within 1s and 1h")) }
}

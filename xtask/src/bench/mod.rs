//! `cargo xtask bench`: what a message costs, beside what the machine itself can do.
//!
//! The load generator shares the machine with the server, so it is built to be cheap: whole windows in one write, reads
//! of hundreds of frames, no allocation per message. Its own cost is printed; a broker cannot be shown to be faster
//! than the generator lets it be.

mod call;
mod consumer;
mod disk;
mod latency;
mod measure;
mod publisher;
mod report;
mod workload;

use std::time::Duration;

use anyhow::{Result, bail};

pub(crate) use self::disk::DiskSpeed;
pub(crate) use self::latency::Latencies;
use self::report::Report;
use self::workload::Workload;
use crate::target::TargetArguments;

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    /// Only these workloads: a, b, c, and call (HTTP callers and an AMQP worker).
    #[arg(value_parser = ["a", "b", "c", "call"])]
    workloads: Vec<String>,
    /// Print JSON, one object for the whole run.
    #[arg(long)]
    json: bool,
    /// How long to measure each workload, after one second to warm up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Run everything for a moment only: shows that the bench works, measures nothing.
    #[arg(long, conflicts_with = "seconds")]
    small: bool,
    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    let (warm_up, measured) = match arguments.small {
        true => (Duration::from_millis(100), Duration::from_millis(300)),
        false => (Duration::from_secs(1), Duration::from_secs(arguments.seconds)),
    };
    let disk = {
        let folder = arguments.target.folder()?;
        DiskSpeed::measure(folder.path(), arguments.small)?
    };
    let mut report = Report::new(disk);
    for workload in Workload::ALL.iter().filter(|workload| is_wanted(&arguments.workloads, workload)) {
        let target = arguments.target.start(&[])?;
        let figures = measure::measure(&target, workload, warm_up, measured)?;
        if figures.received == 0 {
            bail!("workload {}: no message came out within {measured:?}", workload.letter);
        }
        report.add(workload, figures);
    }
    if arguments.workloads.is_empty() || arguments.workloads.iter().any(|name| name == "call") {
        for callers in [1, 32] {
            let target = arguments.target.start(&[])?;
            report.add_call(call::measure(&target, callers, warm_up, measured)?);
        }
    }
    if arguments.json {
        report.print_json()
    } else {
        report.print()
    }
    Ok(())
}

fn is_wanted(letters: &[String], workload: &Workload) -> bool {
    letters.is_empty() || letters.iter().any(|letter| letter == workload.letter)
}

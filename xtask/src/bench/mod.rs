//! `cargo xtask bench`: what a message costs, beside other brokers and what the machine itself can do, in one run.

mod aims;
mod call;
mod child;
mod picture;
mod rabbitmq;
mod report;
mod row;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bench::{DiskSpeed, Times};
use testkit::amqp::Endpoint;

use self::report::Report;
use self::row::Row;
use crate::target::TargetArguments;

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    /// Only these rows, by name; all by default.
    #[arg(value_parser = Row::parse)]
    rows: Vec<Row>,
    /// Measures each row so often: of processor time the least counts, of all else the middle.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=20))]
    runs: u64,
    /// How long to measure each row, in seconds, after one second to warm up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Run everything for a moment only: shows that the bench works, measures nothing.
    #[arg(long, conflicts_with_all = ["seconds", "runs"])]
    small: bool,
    /// Measure this broker beside ours (amqp://USER:PASSWORD@HOST:PORT/VHOST). By default a RabbitMQ of its own, if one is installed.
    #[arg(long, value_name = "URL")]
    against: Option<Endpoint>,
    /// Process id of the broker at --against, to see what it uses.
    #[arg(long, value_name = "PID", requires = "against")]
    against_pid: Option<u32>,
    /// No other broker beside ours.
    #[arg(long, conflicts_with = "against")]
    alone: bool,
    /// Print JSON, one object for the whole run.
    #[arg(long)]
    json: bool,
    /// Write the table and the picture into this folder, as `bench.md` and `bench.svg`.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    let times = match arguments.small {
        true => Times { warm_up: Duration::from_millis(100), measured: Duration::from_millis(300) },
        false => Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs(arguments.seconds) },
    };
    let disk = DiskSpeed::measure(arguments.target.folder()?.path(), arguments.small)?;
    let rows = if arguments.rows.is_empty() { Row::ALL.to_vec() } else { arguments.rows.clone() };
    let mut report = Report::new(disk);
    run::run(arguments, &rows, times, &mut report)?;
    if let Some(folder) = &arguments.write {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(folder.join("bench.md"), report.markdown())?;
        std::fs::write(folder.join("bench.svg"), picture::picture(&report))?;
    }
    if arguments.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.markdown());
    }
    Ok(())
}

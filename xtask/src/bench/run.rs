//! Who is measured in which row.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench::{Crowd, Figures, Subject, Times, crowd, echo_round_trips, gets, idle, measure};

use super::BenchArguments;
use super::call;
use super::child::Running;
use super::rabbitmq::RabbitMq;
use super::report::{Cell, Report};
use super::row::{CROWD_PER_S, IDLE_CONNECTIONS, Row};
use crate::disk;
use crate::shell::{cargo, step};
use crate::target::target_dir;

/// What is measured for less is not meant to tell anything.
const FULL: Duration = Duration::from_secs(1);

pub(super) const OURS: &str = "Forebay";
pub(super) const NULL: &str = "null broker";
pub(super) const ECHO: &str = "echo server";

/// Measures all rows, one run after the other, so that a change of the machine touches all alike.
pub(super) fn run(arguments: &BenchArguments, rows: &[Row], times: Times, report: &mut Report) -> Result<()> {
    step("building the yardsticks", &mut cargo("build --release --locked --package bench"))?;
    let yardsticks = target_dir().join("release").join("bench");
    for number in 0..arguments.runs {
        for row in rows {
            eprintln!("==> run {} of {}: {}", number + 1, arguments.runs, row.name());
            report.add(*row, OURS, ours(arguments, *row, times)?);
            if let Row::Load(workload) = row
                && ["a", "b", "c"].contains(&workload.name)
            {
                let folder = arguments.target.folder()?;
                let flag = folder.path().to_string_lossy().into_owned();
                let (running, address) =
                    Running::yardstick(&yardsticks, &["null-broker", "--folder", &flag])?;
                let endpoint = testkit::amqp::Endpoint::guest(address);
                let subject = Subject { endpoint, pid: Some(running.pid()) };
                report.add(*row, NULL, Cell::of(measure(&subject, workload, times)?));
            }
            if let Row::Get = row {
                let (_running, address) = Running::yardstick(&yardsticks, &["echo"])?;
                report.add(*row, ECHO, Cell::of_latency(echo_round_trips(&address, times.measured)?));
            }
            if let Some((name, cell)) = other(arguments, *row, times)? {
                report.add(*row, &name, cell);
            }
        }
    }
    Ok(())
}

/// Another broker, if there is one for this row.
fn other(arguments: &BenchArguments, row: Row, times: Times) -> Result<Option<(String, Cell)>> {
    let is_for_others = matches!(row, Row::Load(_) | Row::Get);
    if arguments.alone || !is_for_others {
        return Ok(None);
    }
    if let Some(endpoint) = &arguments.against {
        let subject = Subject { endpoint: endpoint.clone(), pid: arguments.against_pid };
        return Ok(Some((endpoint.address.clone(), amqp(&subject, row, times)?)));
    }
    if !RabbitMq::is_installed() {
        return Ok(None);
    }
    let rabbitmq = RabbitMq::start(arguments.target.folder()?)?;
    Ok(Some((format!("RabbitMQ {}", rabbitmq.version), amqp(&rabbitmq.subject, row, times)?)))
}

fn ours(arguments: &BenchArguments, row: Row, times: Times) -> Result<Cell> {
    let vhosts: Vec<String> = match row {
        Row::Crowd { vhosts, .. } if vhosts > 1 => {
            (0..vhosts).map(|number| format!("vhost-{number}")).collect()
        }
        _ => Vec::new(),
    };
    let flags: Vec<&str> = vhosts.iter().flat_map(|vhost| ["--vhost", vhost]).collect();
    let target = arguments.target.start(&flags)?;
    match row {
        Row::Call(callers) => Ok(Cell::of_calls(call::measure(&target, callers, times)?)),
        Row::Crowd { connections, .. } => {
            let load = Crowd { connections, vhosts, rate_per_s: CROWD_PER_S };
            let syncs = || target.data_dir().and_then(disk::syncs);
            let before = syncs();
            let cell = Cell::of(crowd(&target.subject(), &load, times)?);
            let taken = before.zip(syncs()).map(|(before, after)| after - before);
            let seconds = (times.warm_up + times.measured).as_secs_f64();
            Ok(cell.with("syncs of the disk a second", taken.map(|count| count as f64 / seconds)))
        }
        _ => amqp(&target.subject(), row, times),
    }
}

fn amqp(subject: &Subject, row: Row, times: Times) -> Result<Cell> {
    let figures: Figures = match row {
        Row::Load(workload) => measure(subject, &workload, times)?,
        Row::Get => gets(subject, times)?,
        Row::Idle => {
            // Of a moment only, a few show that it works.
            let connections = if times.measured < FULL { IDLE_CONNECTIONS / 20 } else { IDLE_CONNECTIONS };
            let figures = idle(subject, connections, 5 * times.warm_up)?;
            return Ok(Cell::of_latency(bench::Latencies::default())
                .with("connections opened a second", Some(figures.opened_per_s))
                .with("bytes of memory each", figures.anonymous_bytes.map(|bytes| bytes as f64)));
        }
        Row::Crowd { .. } | Row::Call(_) => bail!("this row is measured on a server of ours only"),
    };
    if figures.received == 0 {
        bail!("{}: no message came out within {:?}", row.name(), times.measured);
    }
    Ok(Cell::of(figures))
}

/// What the machine is, for the head of the table.
pub(super) fn machine() -> Result<String> {
    let cores = std::thread::available_parallelism().context("counting the processors")?;
    let kernel = Command::new("uname").arg("-r").output().context("asking for the kernel")?;
    Ok(format!("{cores} cores, Linux {}", String::from_utf8_lossy(&kernel.stdout).trim()))
}

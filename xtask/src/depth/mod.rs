//! `cargo xtask depth`: what a deep backlog costs in memory, time and disk. Each scenario is a file, and a fresh server; `all` runs them
//! one after the other.

mod deep_operations;
mod load;
mod one_queue;
mod one_unacked;
mod progress;
mod recovery;
mod steady;
mod ten_queues;
mod vhosts;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use testkit::amqp::Peer;

use self::progress::Progress;
use crate::target::{Target, TargetArguments};
use bench::DiskSpeed;

#[derive(clap::Args)]
pub(crate) struct DepthArguments {
    /// What is done.
    #[arg(value_enum, default_value_t = Scenario::OneQueue)]
    scenario: Scenario,
    /// How many messages there are in all.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Bytes of each, from 8 to 60,000. Default 100; 1,000 in `one-unacked` and `vhosts`.
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=60_000))]
    body_bytes: Option<u32>,
    /// What the server may keep of bodies and of state, together: the bound of its memory, in MB.
    #[arg(long, default_value_t = 320)]
    budget_mb: u64,
    /// How long the quiet at the end of `one-unacked` and the traffic of `steady` last, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many virtual hosts the scenario `vhosts` has.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    vhosts: u64,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// One queue is filled; the server is killed; the queue is drained in order, against the rate of a shallow one.
    OneQueue,
    /// The same with the messages in ten queues, all drained at once.
    TenQueues,
    /// All messages but the first are acked as they come: what is left on disk after a while of quiet.
    OneUnacked,
    /// A filled queue stands there while others work: how long a lone publisher waits for its confirms.
    Steady,
    /// All messages but the last 1,000 are acked as they come; the server is killed: how soon the first of those comes.
    Recovery,
    /// Get, requeue, reject and purge in a filled queue: order and counts.
    DeepOperations,
    /// A thousand virtual hosts, all with traffic: time to start, and memory, threads, files and disk.
    Vhosts,
    /// All of them.
    All,
}

const ALL: [fn(&DepthArguments) -> Result<()>; 7] = [
    one_queue::run,
    ten_queues::run,
    one_unacked::run,
    steady::run,
    recovery::run,
    deep_operations::run,
    vhosts::run,
];

/// Of what it has besides: code that was written to, stacks, connections.
const MARGIN_MB: u64 = 10;

impl DepthArguments {
    /// Bytes of each message, where nobody has asked for more.
    fn body_bytes(&self, default: u32) -> usize {
        self.body_bytes.unwrap_or(default) as usize
    }
}

pub(crate) fn run(arguments: &DepthArguments) -> Result<()> {
    let folder = arguments.target.folder()?;
    let disk = DiskSpeed::measure(folder.path(), false)?;
    println!(
        "the disk: one synced 4 KB write {} us (p99 {}), {:.0} MB/s in synced 1 MB writes",
        disk.sync_4k_p50_us, disk.sync_4k_p99_us, disk.synced_mb_per_s
    );
    drop(folder);
    match arguments.scenario {
        Scenario::OneQueue => one_queue::run(arguments),
        Scenario::TenQueues => ten_queues::run(arguments),
        Scenario::OneUnacked => one_unacked::run(arguments),
        Scenario::Steady => steady::run(arguments),
        Scenario::Recovery => recovery::run(arguments),
        Scenario::DeepOperations => deep_operations::run(arguments),
        Scenario::Vhosts => vhosts::run(arguments),
        Scenario::All => all(arguments),
    }
}

/// All scenarios, also behind one that has missed its bar.
fn all(arguments: &DepthArguments) -> Result<()> {
    let outcomes = ALL.iter().map(|scenario| scenario(arguments));
    let missed: Vec<String> = outcomes
        .filter_map(|outcome| outcome.err())
        .map(|error| format!("{error:#}"))
        .inspect(|error| println!("MISSED: {error}"))
        .collect();
    if missed.is_empty() { Ok(()) } else { bail!("missed: {}", missed.join("; ")) }
}

fn connected(target: &Target) -> Result<Peer> {
    let mut peer = Peer::open(&target.endpoint())?;
    peer.set_wait_max(Duration::from_secs(60))?;
    Ok(peer)
}

/// Kills the server and starts it again. When it was killed; nothing if it is not ours.
fn killed(target: &mut Target) -> Result<Option<Instant>> {
    let Target::Fresh { server, .. } = target else { return Ok(None) };
    let killed = Instant::now();
    server.kill()?;
    server.restart()?;
    println!("killed, and ready again after {:.2} s", killed.elapsed().as_secs_f64());
    Ok(Some(killed))
}

/// Holds memory against the budgets.
fn check_memory(arguments: &DepthArguments, progress: &Progress) -> Result<()> {
    let limit_mb = arguments.budget_mb + MARGIN_MB;
    match progress.peak_anonymous_bytes() >> 20 {
        0 => println!("memory is unknown; name the broker's process with --pid"),
        peak_mb if peak_mb <= limit_mb => {
            println!("{peak_mb} MB of anonymous memory at most (bar: {} MB)", arguments.budget_mb);
        }
        peak_mb => bail!("{peak_mb} MB of anonymous memory; the bar is {} MB", arguments.budget_mb),
    }
    Ok(())
}

//! `cargo xtask depth`: what a deep backlog costs in memory, time and disk. Each scenario is a file, and a fresh server; `all` runs them
//! one after the other.

mod deep_operations;
mod disk;
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

use crate::bench::DiskSpeed;
use crate::target::{Target, TargetArguments};

#[derive(clap::Args)]
pub(crate) struct DepthArguments {
    /// What is done.
    #[arg(value_enum, default_value_t = Scenario::OneQueue)]
    scenario: Scenario,
    /// How many messages there are in all.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Bytes of each, from 8 to 60,000.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=60_000))]
    body_bytes: u32,
    /// The server's cache budget; its memory must stay below this plus 64 bytes a message.
    #[arg(long, default_value_t = 256)]
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

const BYTES_PER_MESSAGE: u64 = 64;

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
        Scenario::All => ALL.iter().try_for_each(|scenario| scenario(arguments)),
    }
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

/// Holds memory against the budget.
fn check_memory(arguments: &DepthArguments, anonymous_bytes: Option<u64>) -> Result<()> {
    let limit_bytes = (arguments.budget_mb << 20) + BYTES_PER_MESSAGE * arguments.messages;
    match anonymous_bytes {
        None => println!("memory is unknown; name the broker's process with --pid"),
        Some(bytes) if bytes < limit_bytes => {
            println!("{} MB of anonymous memory when full, below {} MB", bytes >> 20, limit_bytes >> 20);
        }
        Some(bytes) => {
            bail!("{} MB of anonymous memory when full; the limit is {} MB", bytes >> 20, limit_bytes >> 20)
        }
    }
    Ok(())
}

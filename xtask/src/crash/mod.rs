//! `cargo xtask crash`: kills the real server under load, again and again, and looks whether a promise was broken.
//!
//! The workload ([`load`]) only acts and writes down what it did and saw. The ledgers ([`messages`], [`tokens`],
//! [`tasks`]) know nothing of sockets: from what was written down they say what must, may and must not be there after a restart. The
//! audit ([`audit`]) reads every queue after each restart and lets the ledgers judge. Promises P1, P2, P4, P5, P6.

mod audit;
mod body;
mod breach;
mod drain;
mod load;
mod messages;
mod round;
mod tasks;
mod tokens;
mod topology;

use anyhow::{Context, Result};

use self::round::Rounds;
use crate::target::TargetArguments;

#[derive(clap::Args)]
pub(crate) struct CrashArguments {
    /// How often to kill.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Repeats the random choices of an earlier run; the timing of threads stays random. Default: a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// Publishers, each with its own connection.
    #[arg(long, default_value_t = 4)]
    publishers: u32,
    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &CrashArguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let target = arguments.target.start(&[])?;
    let mut rounds = Rounds::new(target, seed, arguments.publishers);
    let outcome = rounds.run(arguments.rounds);
    if let Err(error) = outcome {
        let evidence = rounds.keep_evidence();
        return Err(error).with_context(|| format!("seed {seed}; {evidence}"));
    }
    println!("nothing lost, doubled or out of order; every token once, and every task's effect");
    Ok(())
}

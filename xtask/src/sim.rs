//! `cargo xtask sim`: the simulation, built for speed and with every assertion.

use std::process::Command;

use anyhow::Result;

use crate::shell::{cargo, step};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SimArguments {
    /// What the simulation is to do; `--help` says what it can.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// How the simulation is built: one build for runs, tests and planted mistakes.
const BUILD: &str = "--quiet --locked --profile sim -p sim --features planted";

pub(crate) fn run(arguments: &SimArguments) -> Result<()> {
    step("simulation", cargo(&format!("run {BUILD} --")).args(&arguments.arguments))
}

/// The tests of the simulation: seeds, fixed and fresh, and every planted mistake.
pub(crate) fn tests() -> Command {
    cargo(&format!("test {BUILD}"))
}

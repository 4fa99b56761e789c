//! The chores of the project, all behind `cargo xtask`: one file per command.

mod abuse;
mod bench;
mod crash;
mod deny;
mod depth;
mod disk;
mod interop;
mod shell;
mod sim;
mod table;
mod target;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the project", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, lints and all tests; needs the Rust toolchain alone and installs nothing outside `target/`.
    Test,
    /// Licences, bans and sources of all dependencies (needs cargo-deny).
    Deny,
    /// Scenarios run by real clients: pika and amqplib.
    Interop(interop::InteropArguments),
    /// Kills the server under load, again and again, and looks whether anything was lost.
    Crash(crash::CrashArguments),
    /// Throughput, latency and processor time per message.
    Bench(bench::BenchArguments),
    /// A deep backlog: memory while it grows, order while it drains.
    Depth(depth::DepthArguments),
    /// The production broker on simulated time, disk and connections, from one seed.
    Sim(sim::SimArguments),
    /// What no well-behaved client sends, and what the server must answer.
    Abuse(abuse::AbuseArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test => test::run(),
        Command::Deny => deny::run(),
        Command::Interop(arguments) => interop::run(&arguments),
        Command::Crash(arguments) => crash::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Depth(arguments) => depth::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Abuse(arguments) => abuse::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

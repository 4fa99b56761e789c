//! The commands of the program `forebay`.

mod api;
mod bench;
mod call;
mod consume;
mod demo;
mod doctor;
mod hash_password;
mod pins;
mod publish;
mod result;
mod serve;
mod words;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::Url;

/// A durable message queue that RabbitMQ clients use unchanged.
#[derive(Debug, Parser)]
#[command(name = "forebay", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// A comment here replaces all that the command says of itself, so that those who have more to say have none.
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    /// Run the broker
    Serve(Box<serve::Serve>),
    /// Publish messages and wait until the broker has confirmed them
    Publish(publish::Publish),
    /// Print the messages of a queue
    Consume(consume::Consume),
    Call(call::Call),
    Result(result::Result),
    Work(work::Work),
    Pins(pins::Pins),
    Doctor(doctor::Doctor),
    /// Measure on this machine what the documentation says
    Bench(bench::Bench),
    /// A worker of the demonstration
    #[command(hide = true)]
    DemoWorker(demo::DemoWorker),
    /// Read a password from standard input and print its hash, for the table [users] of the configuration file
    HashPassword(hash_password::HashPassword),
}

/// Where the broker is, for commands that talk to one.
#[derive(Debug, clap::Args)]
struct Broker {
    /// The broker and who to be there, as amqp://user:password@host:port/vhost
    #[arg(
        long,
        env = "FOREBAY_URL",
        default_value = "amqp://guest:guest@127.0.0.1:5672/%2F",
        hide_env_values = true
    )]
    url: Url,
}

/// Exit codes, after `sysexits.h`, as RabbitMQ's tools use them.
mod exit {
    pub(super) const DATA: u8 = 65;
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const SOFTWARE: u8 = 70;
    pub(super) const CONFIGURATION: u8 = 78;
}

/// An error for the person at the terminal, and the code to exit with.
struct Failure {
    exit_code: u8,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit_code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { exit_code, error: error.into() }
    }
}

/// Everything that a client command can run into makes the broker unavailable to it.
impl From<crate::client::ClientError> for Failure {
    fn from(error: crate::client::ClientError) -> Self {
        Self::new(exit::UNAVAILABLE, error)
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Publish(publish) => publish.run(),
        Command::Consume(consume) => consume.run(),
        Command::Demo(demo) => demo.run(),
        Command::DemoWorker(worker) => worker.run(),
        Command::Call(call) => call.run(),
        Command::Result(result) => result.run(),
        Command::Work(work) => work.run(),
        Command::Pins(pins) => pins.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Bench(bench) => bench.run(),
        Command::HashPassword(hash_password) => hash_password.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("forebay: {:#}", failure.error);
            ExitCode::from(failure.exit_code)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }

    #[test]
    fn a_command_with_much_to_say_says_it() {
        let mut commands = super::CommandLine::command();
        for (name, part) in [
            ("demo", "Exit code 1 when"),
            ("call", "repeated with the same key"),
            ("result", "as long as the broker keeps it"),
            ("work", "FOREBAY_TASK_ID"),
            ("pins", "the newest checkpoint"),
            ("doctor", "65  something is damaged"),
        ] {
            let help = commands.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            assert!(help.contains(part), "{help}");
        }
    }
}

//! One scenario: a process that talks to the broker, and to us when it wants the broker restarted.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::clients::Client;
use crate::target::Target;

/// How a scenario ended.
pub(crate) enum Outcome {
    Held,
    /// It needs something that these surroundings do not have.
    Skipped,
    Breached {
        said: String,
    },
}

impl Outcome {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Skipped => "skipped",
            Self::Breached { .. } => "BREACH",
        }
    }
}

const TIME_MAX: Duration = Duration::from_secs(90);

/// By this line a scenario asks for a restart; it waits for the answer on its standard input.
const RESTART_REQUEST: &str = "@restart";

/// As automake has it.
const EXIT_SKIPPED: i32 = 77;

pub(crate) fn run(client: &Client, scenario: &str, target: &mut Target) -> Result<Outcome> {
    let mut child = surroundings(client.command(&[scenario, &target.endpoint().to_string()]), target)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", client.name))?;
    let lines = lines_of(&mut child);
    let mut errors = child.stderr.take().context("the scenario has no standard error")?;
    let errors = thread::spawn(move || {
        let mut said = String::new();
        errors.read_to_string(&mut said).map(|_| said)
    });

    let conversation = converse(&mut child, &lines, target);
    if conversation.is_err() {
        child.kill().context("cannot end a scenario that does not get on")?;
    }
    let status = child.wait().context("the scenario is gone")?;
    let said = errors.join().ok().and_then(Result::ok).unwrap_or_default();
    if let Err(error) = conversation {
        return Ok(Outcome::Breached { said: format!("{error:#}\n{said}") });
    }
    Ok(match status.code() {
        Some(0) => Outcome::Held,
        Some(EXIT_SKIPPED) => Outcome::Skipped,
        _ => Outcome::Breached { said },
    })
}

/// Tells a scenario what it can use beside the broker's AMQP port. Of somebody else's broker, that is all there is.
fn surroundings(mut command: Command, target: &Target) -> Command {
    if let Target::Fresh { server, .. } = target {
        command
            .env("INTEROP_CAN_RESTART", "1")
            .env("INTEROP_HTTP", format!("http://{}", server.http_address()))
            .env("INTEROP_FOREBAY", server.binary());
    }
    command
}

/// Answers requests for restarts until the scenario closes its standard output.
fn converse(child: &mut Child, lines: &mpsc::Receiver<String>, target: &mut Target) -> Result<()> {
    loop {
        match lines.recv_timeout(TIME_MAX) {
            Ok(line) if line == RESTART_REQUEST => {
                if let Target::Fresh { server, .. } = target {
                    server.kill()?;
                    server.restart().context("the server does not start again on its own data")?;
                }
                let input = child.stdin.as_mut().context("the scenario has no standard input")?;
                input.write_all(b"restarted\n").context("the scenario does not read")?;
            }
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("not done after {} s", TIME_MAX.as_secs()),
        }
    }
}

fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(16);
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

//! What the commands that use the HTTP API share.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use anyhow::anyhow;
use hyper::header::HeaderValue;

use super::{Failure, exit};
use crate::http_client::{Access, Answer, Ending, Login, ServerUrl, Trouble};

/// Where the broker's HTTP API is, and who to be there.
#[derive(Debug, clap::Args)]
pub(super) struct Api {
    /// The broker's HTTP address, as http://host:port
    #[arg(long, value_name = "URL", env = "FOREBAY_HTTP", default_value = "http://127.0.0.1:15672")]
    http: ServerUrl,
    /// Who to be there, as user:password
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "FOREBAY_USER",
        default_value = "guest:guest",
        hide_env_values = true
    )]
    user: Login,
    /// The virtual host; without it the one that the broker chooses for the user
    #[arg(long, env = "FOREBAY_VHOST", value_parser = header_value)]
    vhost: Option<HeaderValue>,
}

impl Api {
    /// The way to it.
    pub(super) fn access(&self) -> Access {
        Access::new(&self.http, &self.user, self.vhost.clone())
    }
}

/// Exit codes of commands that wait for a task.
pub(super) mod task_exit {
    /// The task failed, was cancelled or expired.
    pub(in super::super) const FAILED: u8 = 1;
    /// The time was up before the task had ended.
    pub(in super::super) const LATE: u8 = 3;
}

/// How the exit codes are told by `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0   the result is on standard output
  1   the task failed, was cancelled or expired; standard error says why
  3   the time was up before the task was done
  65  the broker refused the request
  69  the broker did not answer";

/// A text that can be the value of a header.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii());
    value.ok_or_else(|| format!("{text:?} is not one line of visible ASCII characters"))
}

/// The bytes of a file, or of standard input for `-` or none.
pub(super) fn read_input(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let unreadable = |name: &str, error| Failure::new(exit::DATA, anyhow!("cannot read {name}: {error}"));
    match file {
        Some(file) if file.as_os_str() != "-" => {
            std::fs::read(file).map_err(|error| unreadable(&file.display().to_string(), error))
        }
        _ => {
            let mut input = std::io::stdin().lock();
            if input.is_terminal() {
                eprintln!("Type what the worker shall get and end it with Ctrl-D.");
            }
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes).map_err(|error| unreadable("standard input", error))?;
            Ok(bytes)
        }
    }
}

/// The type of bytes of which nothing else is known.
pub(super) fn content_type_of(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_static(match std::str::from_utf8(bytes) {
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    })
}

/// Prints a result as it is.
pub(super) fn print_result(answer: &Answer) -> Result<(), Failure> {
    print(&answer.body)
}

/// Writes to standard output, which may be a pipe that nobody reads any more.
pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::new(exit::SOFTWARE, error))
}

/// What an ending without a result means for the process; `late` says what to do when the task goes on.
pub(super) fn failure(ending: Ending, late: impl FnOnce(&str) -> String) -> Failure {
    match ending {
        Ending::Succeeded(_) => unreachable!("a result is no failure"),
        Ending::Failed(problem) => Failure::new(task_exit::FAILED, anyhow!("{problem}")),
        Ending::Late { task } => Failure::new(task_exit::LATE, anyhow!("{}", late(&task))),
        Ending::Refused(problem) if problem.status >= 500 => {
            Failure::new(exit::UNAVAILABLE, anyhow!("{problem}"))
        }
        Ending::Refused(problem) => Failure::new(exit::DATA, anyhow!("{problem}")),
        Ending::Unanswered(error) => Failure::new(exit::UNAVAILABLE, error),
    }
}

/// Tells of the first trouble on the way, so that nobody wonders why it takes so long. What follows is more of it.
pub(super) fn tell_once() -> impl FnMut(Trouble<'_>) {
    let mut was_told = false;
    move |trouble| {
        if !std::mem::replace(&mut was_told, true) {
            eprintln!("forebay: {trouble}; asking again until it works or the time is up");
        }
    }
}

/// A runtime for a command that waits more than it works.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(exit::SOFTWARE, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_text_are_called_text() {
        assert_eq!(content_type_of("grüß dich".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(content_type_of(b""), "text/plain; charset=utf-8");
        assert_eq!(content_type_of(b"\x89PNG"), "application/octet-stream");
    }

    #[test]
    fn a_header_is_one_line() {
        assert!(header_value("application/json").is_ok());
        for text in ["a\nb", "é"] {
            assert!(header_value(text).is_err(), "{text:?}");
        }
    }
}

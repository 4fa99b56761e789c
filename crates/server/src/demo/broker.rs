//! The broker of the demonstration: a process that can be killed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::DemoError;
use super::child::Child;
use super::worker_process::WORKERS_LOG;
use crate::http_client::{Access, Login, Pool, Request, ServerUrl, paths};

/// A broker on a data directory of its own.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    folder: PathBuf,
    addresses: Addresses,
}

/// Where it listens. Taken again after a restart, because clients remember them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addresses {
    amqp: String,
    http: String,
}

/// The event by which it says that it is ready, and where.
const READY: &str = "Server startup complete";
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 10;

impl Broker {
    /// Starts one on free ports; its files are in this folder.
    pub(super) async fn start(folder: &Path) -> Result<Self, DemoError> {
        let anywhere = Addresses { amqp: "127.0.0.1:0".to_owned(), http: "127.0.0.1:0".to_owned() };
        let (child, addresses) = start(folder, &anywhere).await?;
        Ok(Self { child, folder: folder.to_owned(), addresses })
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it again on the same data and ports, and returns how long it took to be ready.
    pub(super) async fn restart(&mut self) -> Result<Duration, DemoError> {
        let started = Instant::now();
        (self.child, self.addresses) = start(&self.folder, &self.addresses).await?;
        Ok(started.elapsed())
    }

    /// Where its HTTP API is: `host:port`.
    pub(super) fn http_address(&self) -> &str {
        &self.addresses.http
    }

    /// The way to its API.
    pub(super) fn access(&self) -> Access {
        access(&self.addresses.http)
    }

    /// Makes a task queue.
    pub(super) async fn make_queue(&self, queue: &str) -> Result<(), DemoError> {
        let request = Request::json(Method::PUT, paths::queue(queue), &json!({}));
        match Pool::new(self.access()).ask(&request, ANSWER_TIMEOUT).await {
            Ok(answer) if answer.status == StatusCode::CREATED => Ok(()),
            Ok(answer) => Err(DemoError::NoQueue { problem: answer.problem().to_string() }),
            Err(error) => Err(DemoError::NoQueue { problem: error.to_string() }),
        }
    }

    /// Waits until so many ask for tasks of this queue.
    pub(super) async fn wait_for_consumers(&self, queue: &str, count: usize) -> Result<(), DemoError> {
        let (line, request) = (Pool::new(self.access()), Request::new(Method::GET, paths::queue(queue)));
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            let answer = line.ask(&request, ANSWER_TIMEOUT).await.ok();
            let queue: Option<Queue> = answer.and_then(|answer| answer.json().ok());
            if queue.is_some_and(|queue| queue.consumers >= count) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(DemoError::NoWorkers {
            log_tail: tail(&read_from(&self.folder.join(WORKERS_LOG), 0).unwrap_or_default()),
        })
    }
}

#[derive(Deserialize)]
struct Queue {
    consumers: usize,
}

/// The way to the API of a broker at this address, for the built-in user, who may log in from the same machine.
pub(super) fn access(http_address: &str) -> Access {
    let url = ServerUrl { address: http_address.to_owned() };
    let login: Login = "guest:guest".parse().expect("it has a colon");
    Access::new(&url, &login, None)
}

async fn start(folder: &Path, addresses: &Addresses) -> Result<(Child, Addresses), DemoError> {
    let cannot_log = || DemoError::system("opening the broker's log");
    let path = folder.join("broker.log");
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(cannot_log())?;
    let said_before = log.metadata().map_err(cannot_log())?.len();
    let mut command = Child::command(&["serve", "--amqp", &addresses.amqp, "--http", &addresses.http])?;
    command.args(["--log-format", "json", "--log-level", "info", "--data"]).arg(folder.join("data"));
    let mut child = Child::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))?;
    let started = Instant::now();
    loop {
        let said = read_from(&path, said_before).map_err(cannot_log())?;
        if let Some(addresses) = said.lines().find_map(ready) {
            return Ok((child, addresses));
        }
        if !child.is_running() || started.elapsed() > READY_TIMEOUT {
            return Err(DemoError::BrokerNotReady { log_tail: tail(&said) });
        }
        sleep(LOOK_EVERY).await;
    }
}

fn read_from(path: &Path, offset: u64) -> std::io::Result<String> {
    let mut log = File::open(path)?;
    log.seek(SeekFrom::Start(offset))?;
    let mut said = Vec::new();
    log.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn tail(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// The addresses, if this line of the log tells them.
fn ready(line: &str) -> Option<Addresses> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| Some(event.get(name)?.as_str()?.trim_matches(['[', ']']).to_owned());
    (event.get("message")? == READY).then_some(())?;
    Some(Addresses { amqp: address("amqp")?, http: address("http")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_both_addresses() {
        let line = r#"{"level":"INFO","message":"Server startup complete","amqp":"[127.0.0.1:5]","http":"[127.0.0.1:6]"}"#;
        let addresses = Addresses { amqp: "127.0.0.1:5".to_owned(), http: "127.0.0.1:6".to_owned() };
        assert_eq!(ready(line), Some(addresses));
        assert_eq!(ready(&line.replace("complete", "going on")), None);
        assert_eq!(ready("no JSON"), None);
    }

    #[test]
    fn an_error_shows_the_end_of_the_log() {
        let said: String = (0..20).map(|line| format!("{line}\n")).collect();
        assert_eq!(tail(&said).lines().collect::<Vec<_>>()[..2], ["10", "11"]);
        assert_eq!(tail("one"), "one");
    }
}

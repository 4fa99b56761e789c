//! A server of one's own: fresh, on free ports, gone afterwards.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::Process;
use super::{BenchError, Target};
use crate::client::Url;
use crate::settings::DEFINITIONS;

/// A running server on a temporary data directory. Both go when it is dropped.
#[derive(Debug)]
pub(super) struct OwnServer {
    target: Target,
    /// Ended before its folder is removed.
    _process: Process,
    _folder: TempDir,
}

/// The event that tells that it is ready, and where.
const READY: &str = "Server startup complete";
const READY_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl OwnServer {
    /// Starts this program as a server whose calls may wait for so many seconds, and waits until it is ready.
    pub(super) async fn start(binary: &Path, wait_s: u32) -> Result<Self, BenchError> {
        let folder = TempDir::with_prefix("forebay-bench-")
            .map_err(BenchError::system("making a temporary data directory"))?;
        let log = folder.path().join("log");
        let mut process =
            spawn(binary, folder.path(), &log, wait_s).map_err(BenchError::system("starting a server"))?;
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(&log).map_err(BenchError::system("reading the server's log"))?;
            if let Some((amqp, http)) = said.lines().find_map(ready) {
                let target = Target { url: url(amqp), http, process_id: process.0.id() };
                return Ok(Self { target, _process: process, _folder: folder });
            }
            let has_ended = matches!(process.0.try_wait(), Ok(Some(_)));
            if has_ended || started.elapsed() > READY_MAX {
                return Err(BenchError::ServerNotReady { log: said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Where it is.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

fn spawn(binary: &Path, folder: &Path, log: &Path, wait_s: u32) -> std::io::Result<Process> {
    let mut command = Command::new(binary);
    command.args(["serve", "--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--log-format", "json", "--log-level", "info", "--data"]).arg(folder.join("data"));
    command.args(longest_wait(wait_s));
    Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?))
}

/// The flag that lets calls wait so long, if the server has one.
fn longest_wait(wait_s: u32) -> Vec<String> {
    let definition = |key| DEFINITIONS.iter().find(|definition| definition.key == key);
    let (definition, value) = match (definition("http.max_wait_s"), definition("http.max_wait_ms")) {
        (Some(definition), _) => (definition, u64::from(wait_s)),
        (None, Some(definition)) => (definition, u64::from(wait_s) * 1000),
        (None, None) => return Vec::new(),
    };
    vec![format!("--{}", definition.flag), value.to_string()]
}

/// The addresses for AMQP and HTTP, if this line of the log tells them.
fn ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| event.get(name)?.as_str()?.trim_matches(['[', ']']).parse().ok();
    (event.get("message")? == READY).then_some(())?;
    Some((address("amqp")?, address("http")?))
}

/// The built-in user, who may log in from the same machine.
fn url(address: SocketAddr) -> Url {
    Url {
        address: address.to_string(),
        user: "guest".to_owned(),
        password: "guest".to_owned(),
        vhost: "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::StandIn;
    use super::*;

    #[tokio::test]
    async fn a_server_is_waited_for_and_gone_when_it_is_dropped() {
        let ready = r#"{"message":"Server startup complete","amqp":"[127.0.0.1:5]","http":"[127.0.0.1:6]"}"#;
        let stand_in = StandIn::new(&format!("echo 'starting' >&2\necho '{ready}' >&2\nexec sleep 100"));
        let server = OwnServer::start(&stand_in.binary(), 60).await.unwrap();
        let Target { url, http, process_id } = server.target().clone();
        assert_eq!((url.address.as_str(), http.port()), ("127.0.0.1:5", 6));
        let folder = server._folder.path().to_owned();
        let process = std::path::PathBuf::from(format!("/proc/{process_id}"));
        assert!(folder.exists() && process.exists());
        drop(server);
        assert!(!folder.exists() && !process.exists());
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let stand_in = StandIn::new("echo 'no space left on device' >&2\nexit 3");
        let error = OwnServer::start(&stand_in.binary(), 60).await.unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
    }

    #[test]
    fn the_ready_line_tells_both_addresses() {
        let line = r#"{"level":"INFO","message":"Server startup complete","amqp":"[127.0.0.1:5]","http":"[127.0.0.1:6]"}"#;
        let addresses = ("127.0.0.1:5".parse().unwrap(), "127.0.0.1:6".parse().unwrap());
        assert_eq!(ready(line), Some(addresses));
        assert_eq!(ready(&line.replace("complete", "going on")), None);
        assert_eq!(ready("no JSON"), None);
    }
}

//! A RabbitMQ of its own, where one is installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench::Subject;
use tempfile::TempDir;
use testkit::amqp::{Endpoint, Peer};

use super::child::Running;

/// A RabbitMQ that ends with its owner.
pub(super) struct RabbitMq {
    pub(super) subject: Subject,
    pub(super) version: String,
    /// Where Erlang's name server listens, which RabbitMQ starts and leaves.
    epmd_port: String,
    running: Running,
    folder: TempDir,
}

/// Where Debian's package has the program itself; what is in the path refuses other users.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_MAX: Duration = Duration::from_secs(60);

impl RabbitMq {
    pub(super) fn is_installed() -> bool {
        Path::new(PROGRAM).exists()
    }

    pub(super) fn start(folder: TempDir) -> Result<Self> {
        let port = free_port()?;
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("rabbitmq.conf"), format!("listeners.tcp.default = 127.0.0.1:{port}\n"))?;
        std::fs::write(path("enabled_plugins"), "[].\n")?;
        let epmd_port = free_port()?.to_string();
        let log = std::fs::File::create(path("output"))?;
        let mut command = Command::new(PROGRAM);
        command
            .env("RABBITMQ_NODENAME", format!("bench{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", free_port()?.to_string())
            .env("ERL_EPMD_PORT", &epmd_port)
            .env("HOME", folder.path())
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .stdout(log.try_clone()?)
            .stderr(log);
        let running = Running::start(&mut command)?;
        let subject = Subject { endpoint: Endpoint::guest(format!("127.0.0.1:{port}")), pid: None };
        // From now on all of it ends with its owner, whatever fails.
        let mut rabbitmq = Self { subject, version: version()?, epmd_port, running, folder };
        let started = Instant::now();
        while Peer::open(&rabbitmq.subject.endpoint).is_err() {
            if started.elapsed() > START_MAX {
                let output = rabbitmq.folder.path().join("output");
                let output = std::fs::read_to_string(output).unwrap_or_default();
                bail!("RabbitMQ does not answer after {START_MAX:?}:\n{output}");
            }
            thread::sleep(Duration::from_millis(200));
        }
        rabbitmq.subject.pid = Some(erlang_below(rabbitmq.running.pid())?);
        Ok(rabbitmq)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The program is a script: what it has started goes first.
        if let Ok(pid) = erlang_below(self.running.pid()) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let silent = || Stdio::null();
        let _ = Command::new("epmd")
            .args(["-port", &self.epmd_port, "-kill"])
            .stdout(silent())
            .stderr(silent())
            .status();
    }
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The Erlang machine among the children of the script, or the script's own process if it has become it.
fn erlang_below(script: u32) -> Result<u32> {
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let mut pids = vec![script];
    while let Some(pid) = pids.pop() {
        if name(pid).starts_with("beam") {
            return Ok(pid);
        }
        let children: PathBuf = format!("/proc/{pid}/task/{pid}/children").into();
        let children = std::fs::read_to_string(children).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    bail!("RabbitMQ runs, but its process is not found")
}

fn version() -> Result<String> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", "rabbitmq-server"])
        .stderr(Stdio::null())
        .output()
        .context("asking for RabbitMQ's version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

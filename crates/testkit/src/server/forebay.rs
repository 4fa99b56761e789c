//! The `forebay` process.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{ProcessUsage, ServerError};
use crate::amqp::Endpoint;

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The binary.
    pub binary: PathBuf,
    /// Data directory; kept when the server ends.
    pub data_dir: PathBuf,
    /// More arguments of `forebay serve`.
    pub arguments: Vec<String>,
    /// Environment variables beside those of this process, as names and values.
    pub environment: Vec<(String, String)>,
    /// How long to wait until it is ready. Default 60 s: a restart replays what is in the journal.
    pub ready_max: Duration,
}

impl ServerOptions {
    /// This binary on this data directory.
    pub fn new(binary: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        let (binary, data_dir) = (binary.into(), data_dir.into());
        Self {
            binary,
            data_dir,
            arguments: Vec::new(),
            environment: Vec::new(),
            ready_max: Duration::from_secs(60),
        }
    }
}

/// A running server, killed when dropped. Its log is the file `NAME.log` beside the data directory `NAME`.
#[derive(Debug)]
pub struct ForebayServer {
    options: ServerOptions,
    amqp_port: u16,
    http_port: u16,
    log: PathBuf,
    child: Child,
    startup_time: Duration,
}

/// The line by which the server says that it is ready.
const READY: &str = "Server startup complete";

const POLL_EVERY: Duration = Duration::from_millis(1);

const LOG_TAIL_LINES: usize = 20;

impl ForebayServer {
    /// Runs the server on free ports of 127.0.0.1 and waits until it is ready.
    ///
    /// # Errors
    /// When the binary is missing, ends, or is not ready in time.
    pub fn start(options: ServerOptions) -> Result<Self, ServerError> {
        if !options.binary.exists() {
            return Err(ServerError::NoBinary { binary: options.binary });
        }
        let [amqp_port, http_port] = free_ports().map_err(ServerError::io("finding free ports"))?;
        let log = options.data_dir.with_extension("log");
        let child = spawn(&options, amqp_port, http_port, &log)?;
        let mut server = Self { options, amqp_port, http_port, log, child, startup_time: Duration::ZERO };
        server.wait_ready(0)?;
        Ok(server)
    }

    /// What it was started with; for the next start, it may be changed.
    pub fn options_mut(&mut self) -> &mut ServerOptions {
        &mut self.options
    }

    /// Where it speaks AMQP.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::guest(format_args!("127.0.0.1:{}", self.amqp_port))
    }

    /// Where it speaks HTTP: `127.0.0.1:PORT`.
    pub fn http_address(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// The program that is run.
    pub fn binary(&self) -> &Path {
        &self.options.binary
    }

    /// The operating system's id of the process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// What it has said, over all its starts.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// From the last start of the process to its being ready.
    pub fn startup_time(&self) -> Duration {
        self.startup_time
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn usage(&self) -> Result<ProcessUsage, ServerError> {
        ProcessUsage::of(self.process_id()).map_err(ServerError::io("reading what the server has used"))
    }

    /// SIGKILL: it gets no chance to tidy up.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.child.kill().map_err(ServerError::io("killing the server"))?;
        self.child.wait().map_err(ServerError::io("waiting for the killed server"))?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it has not ended after 30 s.
    pub fn terminate(&mut self) -> Result<ExitStatus, ServerError> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)
            .map_err(|errno| ServerError::io("asking the server to end")(errno.into()))?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(POLL_EVERY);
        }
        Err(ServerError::DoesNotEnd { waited_ms: started.elapsed().as_millis() })
    }

    /// Runs it again on the same data and ports, after [`ForebayServer::kill`] or [`ForebayServer::terminate`].
    ///
    /// # Errors
    /// As [`ForebayServer::start`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        let log_bytes = fs::metadata(&self.log).map_or(0, |metadata| metadata.len() as usize);
        self.child = spawn(&self.options, self.amqp_port, self.http_port, &self.log)?;
        self.wait_ready(log_bytes)
    }

    /// The last lines that it has logged.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Whether the process has ended, and how.
    ///
    /// # Errors
    /// When the process cannot be asked for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ServerError> {
        self.child.try_wait().map_err(ServerError::io("asking for the state of the server"))
    }

    /// Waits for the ready line in what the log has beyond `log_offset`.
    fn wait_ready(&mut self, log_offset: usize) -> Result<(), ServerError> {
        let started = Instant::now();
        while started.elapsed() < self.options.ready_max {
            let log = fs::read(&self.log).map_err(ServerError::io("reading the log of the server"))?;
            let fresh = String::from_utf8_lossy(&log[log_offset.min(log.len())..]);
            if fresh.contains(READY) {
                self.startup_time = started.elapsed();
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                return Err(ServerError::Ended { status, log_tail: self.log_tail() });
            }
            thread::sleep(POLL_EVERY);
        }
        Err(ServerError::NotReady { waited_ms: started.elapsed().as_millis(), log_tail: self.log_tail() })
    }
}

impl Drop for ForebayServer {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(options: &ServerOptions, amqp_port: u16, http_port: u16, log: &Path) -> Result<Child, ServerError> {
    let opened: std::io::Result<(File, File)> =
        OpenOptions::new().create(true).append(true).open(log).and_then(|out| Ok((out.try_clone()?, out)));
    let (out, err) = opened.map_err(ServerError::io("opening the log of the server"))?;
    Command::new(&options.binary)
        .args([
            "serve",
            "--amqp",
            &format!("127.0.0.1:{amqp_port}"),
            "--http",
            &format!("127.0.0.1:{http_port}"),
        ])
        .arg("--data")
        .arg(&options.data_dir)
        .args(&options.arguments)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(ServerError::io("starting the server"))
}

/// Two ports that were free a moment ago.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let listeners =
        [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A stand-in for the binary: says that it is ready, then waits.
    fn stand_in(folder: &Path, script: &str) -> ServerOptions {
        let binary = folder.join("stand-in");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        ServerOptions::new(binary, folder.join("data"))
    }

    #[test]
    fn a_server_is_ready_killed_and_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = stand_in(folder.path(), "echo 'Server startup complete'; exec sleep 100");
        let mut server = ForebayServer::start(options).unwrap();
        let first = server.process_id();
        server.kill().unwrap();
        server.restart().unwrap();
        assert_ne!(server.process_id(), first);
        assert_eq!(server.log_tail().lines().count(), 2);
        assert!(!server.terminate().unwrap().success());
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let options = stand_in(folder.path(), "echo 'data directory is in use'; exit 3");
        let error = ForebayServer::start(options).unwrap_err();
        assert!(error.to_string().contains("data directory is in use"), "{error}");
    }

    #[test]
    fn a_server_that_says_nothing_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = stand_in(folder.path(), "exec sleep 100");
        options.ready_max = Duration::from_millis(50);
        assert!(matches!(ForebayServer::start(options), Err(ServerError::NotReady { .. })));
    }
}

//! Worker processes of the demonstration.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::DemoError;
use super::child::Child;
use crate::http_client::{Access, format_duration};

/// The file that they all log into.
pub(super) const WORKERS_LOG: &str = "workers.log";

/// Starts workers: processes that take tasks from the broker over HTTP and call the provider.
#[derive(Debug)]
pub(super) struct WorkerProcesses {
    /// The broker's HTTP API: `host:port`.
    pub(super) broker: String,
    /// The provider: `host:port`.
    pub(super) provider: Access,
    /// Where they log.
    pub(super) folder: PathBuf,
    /// After how long without a sign of life its tasks go to another one.
    pub(super) lease: Duration,
}

impl WorkerProcesses {
    /// Starts one.
    pub(super) fn start(&self) -> Result<Child, DemoError> {
        let lease = format_duration(self.lease);
        let mut command = Child::command(&["demo-worker", "--broker", &self.broker])?;
        command.args(["--provider", &self.provider.address, "--lease", &lease]);
        // A pipe that is never written to: when it closes, the demonstration is gone, and the worker goes too.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log(&self.folder)?);
        Child::spawn(&mut command)
    }
}

fn log(folder: &Path) -> Result<std::fs::File, DemoError> {
    let opened = OpenOptions::new().create(true).append(true).open(folder.join(WORKERS_LOG));
    opened.map_err(DemoError::system("opening the workers' log"))
}

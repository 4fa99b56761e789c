//! A yardstick or another broker that runs beside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A process that ends with its owner.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {:?}", command.get_program()))?))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Starts a yardstick of the bench. And its address, which it says first.
    pub(super) fn yardstick(binary: &std::path::Path, arguments: &[&str]) -> Result<(Self, String)> {
        let mut running = Self::start(Command::new(binary).args(arguments).stdout(Stdio::piped()))?;
        let stdout = running.0.stdout.take().context("it was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").context("the yardstick does not listen")?;
        Ok((running, address.to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

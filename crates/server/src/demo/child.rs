//! Other processes of this program.

use std::process::{Child as StdChild, Command};

use super::DemoError;

/// A process that ends, at the latest, when this is dropped.
#[derive(Debug)]
pub(super) struct Child(StdChild);

impl Child {
    /// This program with these arguments, on them alone: what the environment says is meant for another broker.
    pub(super) fn command(arguments: &[&str]) -> Result<Command, DemoError> {
        let binary = std::env::current_exe().map_err(DemoError::system("looking for this program's file"))?;
        let mut command = Command::new(binary);
        command.args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"FOREBAY_") {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Starts it.
    pub(super) fn spawn(command: &mut Command) -> Result<Self, DemoError> {
        command.spawn().map(Self).map_err(DemoError::system("starting a process"))
    }

    /// SIGKILL: it gets no chance to tidy up.
    pub(super) fn kill(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

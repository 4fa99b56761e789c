//! Other processes of this program, started for a measurement.

use std::process::{Child, Command};

/// A process that ends, at the latest, when this is dropped.
#[derive(Debug)]
pub(super) struct Process(pub(super) Child);

impl Process {
    /// Starts it, on its own settings alone: what the environment says about a server is meant for another one.
    pub(super) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"FOREBAY_") {
                command.env_remove(name);
            }
        }
        command.spawn().map(Self)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

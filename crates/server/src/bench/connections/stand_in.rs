//! A shell script in place of this program, for tests of whoever starts it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A script; gone when this is dropped.
#[derive(Debug)]
pub(super) struct StandIn {
    folder: TempDir,
}

impl StandIn {
    /// Written by another process: if this one had the file open while a test beside it starts a process, that would
    /// inherit it, and a file that is open for writing can't be run.
    pub(super) fn new(script: &str) -> Self {
        let stand_in = Self { folder: TempDir::new().unwrap() };
        let written = Command::new("/bin/sh")
            .args(["-c", r##"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""##, "sh", script])
            .arg(stand_in.binary())
            .status();
        assert!(written.unwrap().success());
        stand_in
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.folder.path().join("stand-in")
    }
}

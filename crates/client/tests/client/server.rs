//! The real broker.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use testkit::server::{ForebayServer, ServerOptions};

/// A broker on fresh data, with the folder that holds them.
pub(crate) struct Server {
    pub(crate) broker: ForebayServer,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ServerOptions::new(binary(), folder.path().join("data"));
        Self { broker: ForebayServer::start(options).unwrap(), _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        self.broker.endpoint().to_string()
    }
}

/// `FOREBAY_BINARY`, or else what this workspace builds.
fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| match std::env::var_os("FOREBAY_BINARY") {
            Some(path) => path.into(),
            None => build(),
        })
        .clone()
}

/// Cargo gives tests the binaries of their own package alone, so this asks it for another's, in the folder and the
/// profile that the test itself was built with.
fn build() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/TEST
    let profile_folder = exe.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--package", "forebay", "--target-dir"])
        .arg(profile_folder.parent().unwrap());
    if profile_folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the broker does not build");
    profile_folder.join("forebay")
}

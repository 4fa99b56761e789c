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

/// Cargo gives tests the binaries of their own package alone, so this asks it for another's. It lies beside the
/// tests' `deps` folder.
fn build() -> PathBuf {
    let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "forebay"]).status();
    assert!(built.unwrap().success(), "the broker does not build");
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    deps.parent().unwrap().join("forebay")
}

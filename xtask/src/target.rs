//! The broker that a chore works on: a fresh server of this workspace, or one that runs already.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench::Subject;
use tempfile::TempDir;
use testkit::amqp::Endpoint;
use testkit::server::{ForebayServer, ProcessUsage, ServerOptions};

use crate::shell::{cargo, step, workspace_root};

/// Which broker to use.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TargetArguments {
    /// Use a broker that runs already (amqp://USER:PASSWORD@HOST:PORT/VHOST) instead of a fresh server.
    #[arg(long, value_name = "URL")]
    pub url: Option<Endpoint>,
    /// Process id of the broker at --url, to see what it uses.
    #[arg(long, value_name = "PID", requires = "url")]
    pub pid: Option<u32>,
    /// Run this binary instead of building `forebay` in the release profile.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub binary: Option<PathBuf>,
    /// Make the data directory here instead of in the folder for temporary files, which may lie in memory.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data: Option<PathBuf>,
}

/// A broker to work on.
pub(crate) enum Target {
    /// A server of our own, and the folder of its data and log.
    Fresh { server: ForebayServer, folder: TempDir },
    /// Somebody else's.
    Running { endpoint: Endpoint, pid: Option<u32> },
}

impl TargetArguments {
    /// The broker at `--url`, or a fresh server with these additional arguments of `forebay serve`.
    pub(crate) fn start(&self, serve_arguments: &[&str]) -> Result<Target> {
        if let Some(endpoint) = &self.url {
            return Ok(Target::Running { endpoint: endpoint.clone(), pid: self.pid });
        }
        let folder = self.folder()?;
        let mut options = ServerOptions::new(self.built_binary()?, folder.path().join("data"));
        options.arguments = serve_arguments.iter().map(|&argument| argument.to_owned()).collect();
        let server = ForebayServer::start(options)?;
        Ok(Target::Fresh { server, folder })
    }

    /// A new folder where the data of a fresh server goes.
    ///
    /// Below `target/` by default: the folder for temporary files often lies in memory, where a sync costs nothing.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        let parent = self.data.clone().unwrap_or_else(|| target_dir().join("chores"));
        std::fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
        tempfile::Builder::new()
            .prefix("forebay-")
            .tempdir_in(&parent)
            .context("cannot make a folder for the data")
    }

    /// `--binary`, or the server of this workspace, built if need be.
    pub(crate) fn built_binary(&self) -> Result<PathBuf> {
        if let Some(binary) = &self.binary {
            return Ok(binary.clone());
        }
        step("building the server", &mut cargo("build --release --locked --bin forebay"))?;
        Ok(target_dir().join("release").join("forebay"))
    }
}

impl Target {
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Fresh { server, .. } => server.endpoint(),
            Self::Running { endpoint, .. } => endpoint.clone(),
        }
    }

    /// Where a server of our own listens for HTTP.
    pub(crate) fn http_address(&self) -> Option<String> {
        match self {
            Self::Fresh { server, .. } => Some(server.http_address()),
            Self::Running { .. } => None,
        }
    }

    /// Where a server of our own has its data.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Fresh { server, .. } => Some(server.data_dir()),
            Self::Running { .. } => None,
        }
    }

    /// Whether the broker is still there, as far as can be known.
    pub(crate) fn is_running(&mut self) -> bool {
        match self {
            Self::Fresh { server, .. } => matches!(server.ended(), Ok(None)),
            Self::Running { .. } => true,
        }
    }

    /// As the bench wants it.
    pub(crate) fn subject(&self) -> Subject {
        let pid = match self {
            Self::Fresh { server, .. } => Some(server.process_id()),
            Self::Running { pid, .. } => *pid,
        };
        Subject { endpoint: self.endpoint(), pid }
    }

    /// What the broker has used so far, where that can be known.
    pub(crate) fn usage(&self) -> Option<ProcessUsage> {
        match self {
            Self::Fresh { server, .. } => server.usage().ok(),
            Self::Running { pid, .. } => ProcessUsage::of((*pid)?).ok(),
        }
    }
}

/// Where builds go.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

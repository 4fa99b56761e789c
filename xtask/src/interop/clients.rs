//! The clients, and how each is made ready: its library comes from its own registry, pinned, into `interop/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{step, workspace_root};

/// A language with a client library and a runner of scenarios.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    program: PathBuf,
    folder: PathBuf,
    runner: &'static str,
}

impl Client {
    /// The runner with these arguments, in the client's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(self.runner)
            .args(arguments)
            .current_dir(&self.folder)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The names of its scenarios.
    pub(crate) fn scenarios(&self) -> Result<Vec<String>> {
        let output =
            self.command(&["--list"]).output().with_context(|| format!("cannot run {}", self.name))?;
        if !output.status.success() {
            bail!("{} cannot list its scenarios: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}

/// pika, in a virtual environment of its own.
pub(crate) fn python() -> Result<Client> {
    let interop = workspace_root().join("interop");
    let (environment, folder) = (interop.join(".venv"), interop.join("python"));
    let program = environment.join("bin").join("python");
    if !environment.join("complete").exists() {
        step("making a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut install = Command::new(&program);
        install
            .args(["-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"])
            .current_dir(&folder);
        step("installing pika", &mut install)?;
        std::fs::write(environment.join("complete"), "").context("cannot mark the Python environment")?;
    }
    Ok(Client { name: "python", program, folder, runner: "run.py" })
}

/// amqplib.
pub(crate) fn node() -> Result<Client> {
    let folder = workspace_root().join("interop").join("node");
    if !folder.join("node_modules").exists() {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder);
        step("installing amqplib", &mut install)?;
    }
    Ok(Client { name: "node", program: PathBuf::from("node"), folder, runner: "run.js" })
}

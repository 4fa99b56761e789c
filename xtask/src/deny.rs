//! `cargo xtask deny`: whether every dependency may be used, by `deny.toml`.

use anyhow::{Result, bail};

use crate::shell::{cargo, is_installed, step};

/// The version that `deny.toml` is written for; CI installs it.
const CARGO_DENY_VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    if !is_installed("cargo-deny", "--version") {
        bail!(
            "cargo-deny is missing; install it with `cargo install --locked cargo-deny --version {CARGO_DENY_VERSION}`"
        );
    }
    step("licences, bans and sources of dependencies", &mut cargo("deny check bans licenses sources"))
}

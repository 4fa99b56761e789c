//! `cargo xtask test`: what must pass before each commit.

use std::time::Instant;

use anyhow::Result;

use crate::shell::{cargo, step};
use crate::sim;

pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    step("formatting", &mut cargo("fmt --all --check"))?;
    step("lints", &mut cargo("clippy --workspace --all-targets --locked -- -D warnings"))?;
    step("tests", &mut cargo("test --workspace --exclude sim --locked"))?;
    step("simulation", &mut sim::tests())?;
    eprintln!("==> all passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

//! `cargo xtask interop`: the scenarios of `interop/`, run by real clients against a fresh server or a given broker.

mod clients;
mod scenario;

use std::time::Instant;

use anyhow::{Result, bail};

use self::clients::Client;
use self::scenario::Outcome;
use crate::table::Table;
use crate::target::TargetArguments;

#[derive(clap::Args)]
pub(crate) struct InteropArguments {
    /// Only the scenarios with this name (`confirms`), or this client's scenario (`node/confirms`).
    name: Option<String>,
    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &InteropArguments) -> Result<()> {
    let clients = [clients::python()?, clients::node()?];
    let mut target = arguments.target.start(&[])?;
    let table = Table::start(&["scenario", "outcome", "seconds"], 7);
    let (mut ran, mut breached) = (0, Vec::new());
    for client in &clients {
        for scenario in client.scenarios()? {
            let title = format!("{}/{scenario}", client.name);
            if !is_wanted(arguments.name.as_deref(), client, &scenario) {
                continue;
            }
            let started = Instant::now();
            let outcome = scenario::run(client, &scenario, &mut target)?;
            let seconds = format!("{:.1}", started.elapsed().as_secs_f64());
            table.row(&[format!("{title:<32}"), outcome.word().to_owned(), seconds]);
            ran += 1;
            if let Outcome::Breached { said } = outcome {
                println!("{said}");
                breached.push(title);
                if !target.is_running() {
                    target = arguments.target.start(&[])?;
                }
            }
        }
    }
    match (ran, breached.is_empty()) {
        (0, _) => bail!("no scenario is called {}", arguments.name.as_deref().unwrap_or_default()),
        (_, false) => bail!("{} of {ran} scenarios breached: {}", breached.len(), breached.join(", ")),
        (_, true) => Ok(()),
    }
}

fn is_wanted(name: Option<&str>, client: &Client, scenario: &str) -> bool {
    match name.map(|name| name.split_once('/').map_or((None, name), |(client, name)| (Some(client), name))) {
        None => true,
        Some((of_client, name)) => {
            name == scenario && of_client.is_none_or(|of_client| of_client == client.name)
        }
    }
}

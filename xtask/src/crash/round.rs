//! Load, kill, restart, audit, again.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::amqp::Peer;

use super::audit::{Afterwards, audit, audit_finished_tasks, audit_tasks};
use super::drain::drain;
use super::load::{Ending, Load, LoadOptions, Shared};
use super::topology;
use crate::table::Table;
use crate::target::Target;

/// All rounds on one data directory.
pub(super) struct Rounds {
    target: Target,
    shared: Arc<Shared>,
    rng: fastrand::Rng,
    options: LoadOptions,
}

const TOKENS: u32 = 300;

/// How long the load runs before the kill. Short times hit start-up, declarations and first segments.
const LOAD_TIME_MS: std::ops::Range<u64> = 200..2000;

/// A broker that goes on running needs a moment to work off what was cut.
const QUIET_TIME: Duration = Duration::from_secs(1);

const BACKLOG_MAX: usize = 100_000;

impl Rounds {
    pub(super) fn new(target: Target, seed: u64, publishers: u32) -> Self {
        let http_address = match &target {
            Target::Fresh { server, .. } => Some(server.http_address()),
            Target::Running { .. } => None,
        };
        let options = LoadOptions { publishers, movers: 3, http_address, askers: 2, workers: 3 };
        Self { target, shared: Arc::new(Shared::new(TOKENS)), rng: fastrand::Rng::with_seed(seed), options }
    }

    /// Runs so many rounds, the last of which ends with a polite request to stop.
    pub(super) fn run(&mut self, rounds: u32) -> Result<()> {
        let mut peer = Peer::open(&self.target.endpoint())?;
        topology::declare(&mut peer)?;
        topology::seed_tokens(&mut peer, TOKENS)?;
        if self.options.http_address.is_some() {
            topology::declare_tasks(&mut peer)?;
        }
        drop(peer);
        let titles = [
            "round",
            "load ms",
            "published",
            "confirmed",
            "delivered",
            "acked",
            "durably",
            "commits",
            "tasks",
            "done",
            "found",
            "ready ms",
            "breaches",
        ];
        let table = Table::start(&titles, 9);
        let mut backlog = 0;
        for round in 1..=rounds {
            let load_time = Duration::from_millis(self.rng.u64(LOAD_TIME_MS));
            self.load_and_end(load_time, round == rounds)?;
            let mut row = vec![round.to_string(), load_time.as_millis().to_string()];
            row.extend(self.shared.counters.take());
            let ready_ms = self.restart()?;
            let afterwards = self.afterwards(backlog);
            let outcome = self.audit(afterwards);
            backlog = *outcome.as_ref().unwrap_or(&0);
            let breaches = u32::from(outcome.is_err());
            row.extend([backlog.to_string(), format!("{ready_ms:.1}"), breaches.to_string()]);
            table.row(&row);
            outcome.with_context(|| format!("round {round}, audit after the restart"))?;
        }
        self.drain()
    }

    fn audit(&self, afterwards: Afterwards) -> Result<usize> {
        let endpoint = self.target.endpoint();
        if self.options.http_address.is_some() {
            audit_tasks(&endpoint, &self.shared)?;
        }
        audit(&endpoint, &self.shared, afterwards)
    }

    /// Sends again what was not answered, works off what is left, and looks whether each task had its effect.
    fn drain(&self) -> Result<()> {
        let Some(http_address) = &self.options.http_address else { return Ok(()) };
        let endpoint = self.target.endpoint();
        drain(&endpoint, http_address, &self.shared).context("working off what is left")?;
        let tasks = audit_finished_tasks(&endpoint, &self.shared)?;
        println!("{tasks} tasks, each with its one effect");
        Ok(())
    }

    /// Where to look after a breach.
    pub(super) fn keep_evidence(self) -> String {
        match self.target {
            Target::Fresh { server, folder } => {
                let (data, log) = (server.data_dir().to_path_buf(), server.log().to_path_buf());
                // The server may still run; what it holds in memory is not evidence, what it wrote is.
                drop(server);
                let _ = folder.keep();
                format!("data directory {}, log of the server {}", data.display(), log.display())
            }
            Target::Running { endpoint, .. } => {
                format!("the broker at {} is as it was left", endpoint.address)
            }
        }
    }

    fn load_and_end(&mut self, load_time: Duration, politely: bool) -> Result<()> {
        self.shared.set_ending(Ending::NotYet);
        let load = Load::start(&self.shared, &self.target.endpoint(), &self.options, &mut self.rng)?;
        thread::sleep(load_time);
        if let Target::Fresh { server, .. } = &mut self.target
            && let Some(status) = server.ended()?
        {
            bail!("the server ended by itself with {status}; the end of its log:\n{}", server.log_tail());
        }
        let at_once = matches!(self.target, Target::Fresh { .. }) && !politely;
        self.shared.set_ending(if at_once { Ending::AtOnce } else { Ending::Gradually });
        match &mut self.target {
            Target::Running { .. } => load.cut(),
            Target::Fresh { server, .. } if politely => {
                let status = server.terminate()?;
                if !status.success() {
                    bail!("the server ended with {status} after SIGTERM; its log:\n{}", server.log_tail());
                }
            }
            Target::Fresh { server, .. } => server.kill()?,
        }
        load.join()
    }

    /// Milliseconds from the start of the process to its being ready.
    fn restart(&mut self) -> Result<f64> {
        match &mut self.target {
            Target::Fresh { server, .. } => {
                server.restart()?;
                Ok(server.startup_time().as_secs_f64() * 1e3)
            }
            Target::Running { .. } => {
                let started = Instant::now();
                thread::sleep(QUIET_TIME);
                Ok(started.elapsed().as_secs_f64() * 1e3)
            }
        }
    }

    fn afterwards(&mut self, backlog: usize) -> Afterwards {
        if backlog > BACKLOG_MAX || self.rng.u8(..) < 64 {
            Afterwards::Acknowledge
        } else {
            Afterwards::GiveBack
        }
    }
}

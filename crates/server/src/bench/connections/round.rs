//! One protocol, measured from the first connection to the last answer.

use std::time::{Duration, Instant};

use super::callers::Assignment;
use super::clients::Clients;
use super::door::Door;
use super::memory::Memory;
use super::plan::{Capacity, Load};
use super::progress::Progress;
use super::queue::TaskQueue;
use super::report::{MemoryFigures, RoundReport};
use super::tally::Tally;
use super::worker::{RunningWorkers, Workers};
use super::{BenchError, Options, Target, unless_stopped};
use crate::signals::StopSignals;

/// What is about to be measured.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) options: &'a Options,
    pub(super) load: Load,
    /// Makes this round's queue and questions differ from those of any other.
    pub(super) run: u64,
    pub(super) target: &'a Target,
    pub(super) capacity: &'a Capacity,
}

/// Connections that are being opened at once, by all clients. Fewer than the server's listener lets wait, so that
/// none has to try again.
const OPENING_MAX: u64 = 256;
const OPENING_TIMEOUT: Duration = Duration::from_secs(120);
/// How long after the end of their waiting callers may still be told so.
const GRACE: Duration = Duration::from_secs(15);
/// Between two looks at what other processes do.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Round<'_> {
    /// Measures, on a task queue that is gone afterwards.
    pub(super) async fn measure(
        &self,
        progress: &mut Progress,
        signals: &mut StopSignals,
    ) -> Result<RoundReport, BenchError> {
        let door = Door::new(self.target.http, &self.target.url);
        let name = format!("forebay-bench-{:016x}", self.run);
        let queue = TaskQueue::declare(&door, &self.target.url, name).await?;
        let outcome = unless_stopped(signals, self.measure_on(&queue, &door, progress)).await;
        // What was measured is worth more than a clean exit.
        if let Err(error) = queue.delete().await {
            progress.notice(&error.to_string());
        }
        outcome
    }

    async fn measure_on(
        &self,
        queue: &TaskQueue,
        door: &Door,
        progress: &mut Progress,
    ) -> Result<RoundReport, BenchError> {
        let Self { load, target, capacity, options, .. } = self;
        let protocol = load.protocol.name();
        let workers = Workers::connect(&target.url, options.workers)?;
        let at_start = self.memory().await?;

        progress.phase(&format!("{protocol}: opening {} connections", load.connections));
        let parts = self.parts(door, queue, capacity.clients(load.connections));
        let mut clients = Clients::start(&options.binary, &parts)?;
        self.until_open(&mut clients, progress).await?;
        let with_connections = self.memory().await?;

        progress.phase(&format!("{protocol}: parking {} calls", load.calls()));
        let called = Instant::now();
        clients.call()?;
        self.until_parked(&mut clients, queue, called, progress).await?;
        let parking = called.elapsed();
        let with_calls = self.memory().await?;

        progress.phase(&format!("{protocol}: {} workers answer", options.workers));
        let working = Instant::now();
        let workers = workers.start(queue.name());
        let tally = self.until_answered(&mut clients, &workers, called, progress).await?;
        let answering = working.elapsed();
        let answered_by_workers = workers.stop()?;
        let after_answers = self.memory().await?;

        progress.phase(&format!("{protocol}: closing the connections"));
        clients.close().await?;
        let after_close = self.memory().await?;
        Ok(RoundReport {
            load: *load,
            client_processes: parts.len() as u64,
            memory: MemoryFigures { at_start, with_connections, with_calls, after_answers, after_close },
            parking,
            answering,
            answered_by_workers,
            tally,
        })
    }

    async fn memory(&self) -> Result<u64, BenchError> {
        let settled = Memory::of(self.target.process_id).settled().await;
        settled.map_err(BenchError::system("looking at the memory of the server's process"))
    }

    /// The connections, shared out evenly.
    fn parts(&self, door: &Door, queue: &TaskQueue, clients: u64) -> Vec<Assignment> {
        let Load { protocol, connections, streams } = self.load;
        let border = |part: u64| connections * part / clients;
        (0..clients)
            .map(|part| Assignment {
                door: door.clone(),
                protocol,
                queue: queue.name().to_owned(),
                run: self.run,
                first_connection: border(part),
                connections: border(part + 1) - border(part),
                streams,
                opening_max: (OPENING_MAX / clients).max(1),
                wait_s: self.options.wait_s,
            })
            .collect()
    }

    async fn until_open(&self, clients: &mut Clients, progress: &mut Progress) -> Result<(), BenchError> {
        let asked = self.load.connections;
        let deadline = Instant::now() + OPENING_TIMEOUT;
        let mut tally = clients.tally();
        while tally.opened < asked {
            if tally.not_opened > 0 || Instant::now() >= deadline {
                let example = tally
                    .examples
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| format!("no answer after {} s", OPENING_TIMEOUT.as_secs()));
                return Err(BenchError::NotOpened { opened: tally.opened, asked, example });
            }
            tally = clients.news(deadline).await?;
            progress.count(tally.opened, asked);
        }
        Ok(())
    }

    /// A call is parked when its task is in the queue. Calls that were answered without a worker are counted in, so that
    /// a server that refuses them is reported with its words and not waited for.
    async fn until_parked(
        &self,
        clients: &mut Clients,
        queue: &TaskQueue,
        called: Instant,
        progress: &mut Progress,
    ) -> Result<(), BenchError> {
        let asked = self.load.calls();
        let deadline = called + Duration::from_secs(self.options.wait_s.into());
        loop {
            let tally = clients.news(Instant::now() + LOOK_EVERY).await?;
            let parked = queue.ready_count().await?;
            progress.count(parked, asked);
            if parked + tally.settled() >= asked {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(BenchError::NotParked { parked, asked, waited_s: self.options.wait_s.into() });
            }
        }
    }

    /// Until all calls are settled, or none can come any more.
    async fn until_answered(
        &self,
        clients: &mut Clients,
        workers: &RunningWorkers,
        called: Instant,
        progress: &mut Progress,
    ) -> Result<Tally, BenchError> {
        let deadline = called + Duration::from_secs(self.options.wait_s.into()) + GRACE;
        let mut tally = clients.tally();
        while tally.settled() < self.load.calls() && Instant::now() < deadline && !workers.has_ended() {
            tally = clients.news(deadline.min(Instant::now() + GRACE)).await?;
            progress.count(tally.settled(), self.load.calls());
        }
        Ok(tally)
    }
}

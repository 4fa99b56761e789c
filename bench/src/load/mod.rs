//! A few busy connections.

mod consumer;
mod publisher;
mod topology;

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use testkit::server::ProcessUsage;

use self::topology::Topology;
use crate::{Figures, Latencies, Subject, Times, Workload};

/// What the threads of a run share.
pub(crate) struct Run {
    started: Instant,
    pub(crate) published: AtomicU64,
    pub(crate) received: AtomicU64,
    measuring: AtomicBool,
    stopping: AtomicBool,
}

impl Run {
    pub(crate) fn new() -> Self {
        let (published, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let (measuring, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { started: Instant::now(), published, received, measuring, stopping }
    }

    /// The stamp that goes into a body: nanoseconds since the run began.
    pub(crate) fn stamp(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Waits until this moment, as stamps tell it.
    pub(crate) fn sleep_until(&self, at: u64) {
        thread::sleep(Duration::from_nanos(at.saturating_sub(self.stamp())));
    }

    /// How long ago the message of this body should have been sent.
    pub(crate) fn age(&self, body: &[u8]) -> Result<Duration> {
        let stamp = body.first_chunk().context("a body without a stamp")?;
        Ok(Duration::from_nanos(self.stamp().saturating_sub(u64::from_be_bytes(*stamp))))
    }

    /// Whether what happens now counts.
    pub(crate) fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Whether the connections are about to be cut.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// No more is wanted.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Lets the load run, and counts what happens in the time that counts.
    pub(crate) fn count(&self, subject: &Subject, times: Times) -> Result<Figures> {
        thread::sleep(times.warm_up);
        let own_usage =
            || ProcessUsage::of(std::process::id()).context("reading what the load generator has used");
        let now = || (self.published.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed));
        let (own, server) = (own_usage()?, subject.usage());
        let ((published, received), started) = (now(), Instant::now());
        self.measuring.store(true, Ordering::Relaxed);
        thread::sleep(times.measured);
        self.measuring.store(false, Ordering::Relaxed);
        let ((published_then, received_then), elapsed) = (now(), started.elapsed());
        let server_cpu = match (server, subject.usage()) {
            (Some(before), Some(after)) => Some(after.cpu_time - before.cpu_time),
            _ => None,
        };
        Ok(Figures {
            elapsed,
            published: published_then - published,
            received: received_then - received,
            server_cpu,
            own_cpu: own_usage()?.cpu_time - own.cpu_time,
            ..Figures::default()
        })
    }
}

/// Runs a workload on queues of its own.
///
/// # Errors
/// When the broker refuses something or leaves.
pub fn measure(subject: &Subject, workload: &Workload, times: Times) -> Result<Figures> {
    let topology = Topology::declare(&subject.endpoint, workload)?;
    let publishers: Vec<_> =
        (0..workload.publishers).map(|_| topology.publisher()).collect::<Result<_, _>>()?;
    let consumers: Vec<_> =
        (0..workload.consumers).map(|number| topology.consumer(number)).collect::<Result<_, _>>()?;
    let sockets: Vec<TcpStream> =
        publishers.iter().chain(&consumers).map(|peer| peer.socket()).collect::<Result<_, _>>()?;
    let run = Run::new();
    let outcome = thread::scope(|scope| {
        let (run, topology) = (&run, &topology);
        let consuming: Vec<_> = (consumers.iter())
            .map(|peer| {
                let (socket, frame_max) = (peer.socket()?, peer.frame_max());
                anyhow::Ok(scope.spawn(move || consumer::run(socket, run, workload, frame_max)))
            })
            .collect::<Result<_>>()?;
        let publishing: Vec<_> = (publishers.iter().enumerate())
            .map(|(number, peer)| {
                let (socket, frame_max) = (peer.socket()?, peer.frame_max());
                let target = topology.target(number);
                anyhow::Ok(scope.spawn(move || publisher::run(socket, run, workload, &target, frame_max)))
            })
            .collect::<Result<_>>()?;
        let mut figures = run.count(subject, times)?;
        run.stop();
        for socket in &sockets {
            // The broker may have closed it before; then the thread says so.
            let _ = socket.shutdown(Shutdown::Both);
        }
        figures.confirm = joined(publishing)?;
        figures.end_to_end = joined(consuming)?;
        Ok(figures)
    });
    topology.delete()?;
    outcome
}

type Joining<'scope> = Vec<thread::ScopedJoinHandle<'scope, Result<Latencies>>>;

fn joined(threads: Joining<'_>) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    for thread in threads {
        latencies.add(&thread.join().map_err(|_| anyhow!("a thread of the load has panicked"))??);
    }
    Ok(latencies)
}

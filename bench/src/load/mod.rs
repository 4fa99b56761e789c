//! One run of one workload.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::{basic, confirm, queue};
use anyhow::{Context, Result, anyhow};
use testkit::amqp::{Endpoint, Peer, PeerError, short};
use testkit::server::ProcessUsage;

use super::latency::Latencies;
use super::workload::Workload;
use super::{consumer, publisher};
use crate::target::Target;

/// What was measured, within the measured time only.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) elapsed: Duration,
    /// Published and, where there are confirms, confirmed.
    pub(super) published: u64,
    pub(super) received: u64,
    /// Processor time of the server; `None` where it is not known which process it is.
    pub(super) server_cpu: Option<Duration>,
    /// Processor time of the load generator.
    pub(super) own_cpu: Duration,
    pub(super) confirm: Latencies,
    pub(super) end_to_end: Latencies,
}

/// What the threads of a run share.
pub(super) struct Run {
    started: Instant,
    pub(super) published: AtomicU64,
    pub(super) received: AtomicU64,
    measuring: AtomicBool,
    stopping: AtomicBool,
}

impl Run {
    fn new() -> Self {
        let (published, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let (measuring, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { started: Instant::now(), published, received, measuring, stopping }
    }

    /// The stamp that goes into a body: nanoseconds since the run began.
    pub(super) fn stamp(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Whether what happens now counts.
    pub(super) fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Whether the connections are about to be cut.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

const CHANNEL: u16 = 1;

/// Runs a workload on a queue of its own.
pub(super) fn measure(
    target: &Target,
    workload: &Workload,
    warm_up: Duration,
    measured: Duration,
) -> Result<Figures> {
    let endpoint = target.endpoint();
    let name = format!("bench.{}.{}", workload.letter, std::process::id());
    let publishing = open_publisher(&endpoint, workload, &name)?;
    let consuming = open_consumer(&endpoint, workload, &name)?;
    let sockets = [publishing.socket()?, consuming.socket()?];
    let frame_max = publishing.frame_max();
    let run = Run::new();
    let outcome = thread::scope(|scope| {
        let (publishing, consuming) = (publishing.socket()?, consuming.socket()?);
        let publisher = scope.spawn(|| publisher::run(publishing, &run, workload, &name, frame_max));
        let consumer = scope.spawn(|| consumer::run(consuming, &run, workload, frame_max));
        thread::sleep(warm_up);
        let mut figures = window(target, &run, measured)?;
        stop(&run, &sockets);
        figures.confirm = publisher.join().map_err(|_| anyhow!("the publisher panicked"))??;
        figures.end_to_end = consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
        Ok(figures)
    });
    let mut cleaner = Peer::open(&endpoint)?;
    cleaner.open_channel(CHANNEL)?;
    let _: queue::DeleteOk =
        cleaner.call(CHANNEL, queue::Delete { queue: short(&name), ..Default::default() })?;
    outcome
}

fn window(target: &Target, run: &Run, measured: Duration) -> Result<Figures> {
    let own_usage =
        || ProcessUsage::of(std::process::id()).context("reading what the load generator has used");
    let now = || (run.published.load(Ordering::Relaxed), run.received.load(Ordering::Relaxed));
    let (own, server) = (own_usage()?, target.usage());
    let ((published, received), started) = (now(), Instant::now());
    run.measuring.store(true, Ordering::Relaxed);
    thread::sleep(measured);
    run.measuring.store(false, Ordering::Relaxed);
    let ((published_then, received_then), elapsed) = (now(), started.elapsed());
    let server_cpu = match (server, target.usage()) {
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

fn stop(run: &Run, sockets: &[TcpStream]) {
    run.stopping.store(true, Ordering::SeqCst);
    for socket in sockets {
        // The broker may have closed it before; then the thread says so.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn open_publisher(endpoint: &Endpoint, workload: &Workload, name: &str) -> Result<Peer, PeerError> {
    let mut peer = Peer::open(endpoint)?;
    peer.open_channel(CHANNEL)?;
    let durable = workload.persistent;
    let declare = queue::Declare { queue: short(name), durable, ..Default::default() };
    let _: queue::DeclareOk = peer.call(CHANNEL, declare)?;
    if workload.confirm_window.is_some() {
        let confirm::SelectOk {} = peer.call(CHANNEL, confirm::Select { no_wait: false })?;
    }
    Ok(peer)
}

fn open_consumer(endpoint: &Endpoint, workload: &Workload, name: &str) -> Result<Peer, PeerError> {
    let mut peer = Peer::open(endpoint)?;
    peer.open_channel(CHANNEL)?;
    let no_ack = workload.ack_every.is_none();
    let consume = basic::Consume { queue: short(name), no_ack, ..Default::default() };
    let _: basic::ConsumeOk = peer.call(CHANNEL, consume)?;
    Ok(peer)
}

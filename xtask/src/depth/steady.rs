//! A deep queue stands there while others work: whether checkpoints hold anybody up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::load::Backlog;
use super::progress::Progress;
use super::{DepthArguments, connected};
use crate::bench::Latencies;
use crate::target::Target;

/// Messages of 1 KB that come and go each second beside the probe.
const TRAFFIC_PER_S: u64 = 20_000;
const TRAFFIC_BYTES: usize = 1024;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes(100));
    println!(
        "\n{messages} messages of {body_bytes} bytes stand there, {TRAFFIC_PER_S}/s of 1 KB come and go"
    );
    let progress = Progress::start(&target);
    let deep = Backlog { queue: "depth".into(), messages, body_bytes };
    let mut peer = connected(&target)?;
    deep.declare(&mut peer)?;
    let since = Instant::now();
    deep.fill(&mut peer, |_| ())?;
    progress.tell(&target, "fill", messages, since);
    thread::sleep(Duration::from_secs(2));

    let is_over = AtomicBool::new(false);
    let since = Instant::now();
    let (mut confirms, passed) = thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&target, TRAFFIC_PER_S * arguments.seconds));
        let probe = scope.spawn(|| probe(&target, &is_over));
        let passed = traffic.join().map_err(|_| anyhow!("the traffic has panicked"));
        is_over.store(true, Ordering::Relaxed);
        let confirms = probe.join().map_err(|_| anyhow!("the probe has panicked"))??;
        anyhow::Ok((confirms, passed??))
    })?;
    progress.tell(&target, "steady", passed, since);
    let quantile = |confirms: &mut Latencies, share| confirms.quantile_us(share).unwrap_or_default();
    println!(
        "{} lone publishes were confirmed after {} us in the middle, p99 {} us, p99.9 {} us, the slowest after {:.1} ms",
        confirms.count(),
        quantile(&mut confirms, 0.5),
        quantile(&mut confirms, 0.99),
        quantile(&mut confirms, 0.999),
        f64::from(quantile(&mut confirms, 1.0)) / 1000.0
    );
    Ok(())
}

/// Publishes and consumes at a steady pace. How many messages there were.
fn traffic(target: &Target, messages: u64) -> Result<u64> {
    let backlog = Backlog { queue: "traffic".into(), messages, body_bytes: TRAFFIC_BYTES };
    thread::scope(|scope| {
        let mut consumer = connected(target)?;
        backlog.declare(&mut consumer)?;
        backlog.consume(&mut consumer)?;
        let publishing = scope.spawn(|| {
            let mut publisher = connected(target)?;
            backlog.declare(&mut publisher)?;
            backlog.fill_at(&mut publisher, TRAFFIC_PER_S)
        });
        backlog.drain(&mut consumer, 0, |_| ())?;
        publishing.join().map_err(|_| anyhow!("the publisher has panicked"))??;
        Ok(messages)
    })
}

/// Publishes one message after the other, each when the one before is confirmed.
fn probe(target: &Target, is_over: &AtomicBool) -> Result<Latencies> {
    let backlog = Backlog { queue: "probe".into(), messages: u64::MAX, body_bytes: TRAFFIC_BYTES };
    let mut peer = connected(target)?;
    backlog.declare(&mut peer)?;
    let (mut confirms, mut number) = (Latencies::default(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        backlog.publish_alone(&mut peer, number)?;
        confirms.note(started.elapsed());
        number += 1;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(confirms)
}

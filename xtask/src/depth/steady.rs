//! A deep queue stands there while others work: whether checkpoints hold anybody up.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::load::Backlog;
use super::progress::Progress;
use super::{DepthArguments, connected};
use crate::target::Target;
use bench::Latencies;

/// Messages of 1 KB that come and go each second beside the probe.
const TRAFFIC_PER_S: u64 = 20_000;
const TRAFFIC_BYTES: usize = 1024;
/// How long a publish may wait beside one sync.
const WAIT_MAX_US: u64 = 10_000;

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
    let (confirms, syncs, passed) = thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&target, TRAFFIC_PER_S * arguments.seconds));
        let probe = scope.spawn(|| probe(&target, &is_over));
        let witness = scope.spawn(|| syncs_meanwhile(&target, &is_over));
        let passed = traffic.join().map_err(|_| anyhow!("the traffic has panicked"));
        is_over.store(true, Ordering::Relaxed);
        let confirms = probe.join().map_err(|_| anyhow!("the probe has panicked"))??;
        let syncs = witness.join().map_err(|_| anyhow!("the disk's witness has panicked"))??;
        anyhow::Ok((confirms, syncs, passed??))
    })?;
    progress.tell(&target, "steady", passed, since);
    println!("lone publishes, until confirmed: {}", told(&confirms));
    println!("4 KB written to another file beside them, and synced: {}", told(&syncs));
    let slowest = |latencies: &Latencies| latencies.quantile_us(1.0).unwrap_or_default();
    let (waited_us, bar_us) = (slowest(&confirms), slowest(&syncs) + WAIT_MAX_US);
    println!("the slowest: {waited_us} us (bar: {bar_us} us)");
    if waited_us > bar_us {
        bail!("a publish waited for {waited_us} us; the bar is {bar_us} us");
    }
    Ok(())
}

fn told(latencies: &Latencies) -> String {
    let [p50, p99, p999, slowest] =
        [0.5, 0.99, 0.999, 1.0].map(|share| latencies.quantile_us(share).unwrap_or_default());
    let count = latencies.count();
    format!("{count}, p50 {p50} us, p99 {p99} us, p99.9 {p999} us, the slowest {slowest} us")
}

/// What the disk does for others meanwhile: one small synced write after the other.
fn syncs_meanwhile(target: &Target, is_over: &AtomicBool) -> Result<Latencies> {
    let mut syncs = Latencies::default();
    let Some(folder) = target.data_dir() else { return Ok(syncs) };
    let path = folder.join("witness");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        file.write_all_at(&[0; 4096], 0)?;
        file.sync_data()?;
        syncs.note(started.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(&path)?;
    Ok(syncs)
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

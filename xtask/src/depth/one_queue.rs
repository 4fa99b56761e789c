//! One deep queue: memory while it grows, stands and drains, the time after a kill, order and rate.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

use super::load::Backlog;
use super::progress::{Progress, crossed};
use super::{DepthArguments, check_memory, connected, killed};
use crate::target::Target;

/// As many as fit into the cache: the rate that a deep queue is held against.
const SHALLOW: u64 = 200_000;
const SHALLOW_ROUNDS: u32 = 10;

/// Of the messages, so many are drained once more when nothing of them is in the memory of the system: one in this many.
const COLD_SHARE: u64 = 5;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let mut target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes(100));
    println!("\none queue, {messages} messages of {body_bytes} bytes");
    let progress = Progress::start(&target);
    let shallow_rate = shallow_rate(&target, arguments)?;
    let tell = |rate: f64, what: &str| {
        let (rate_k, shallow_k, share) = (rate / 1e3, shallow_rate / 1e3, 100.0 * rate / shallow_rate);
        println!("{what} at {rate_k:.0},000/s, {share:.0} % of a shallow queue's {shallow_k:.0},000/s");
    };
    let deep = Backlog { queue: "depth".into(), messages, body_bytes };
    fill(&target, &deep, &progress)?;
    let killed_at = killed(&mut target)?;
    let rate = drain(&target, &deep, &progress, killed_at)?;
    println!("{messages} messages came out once and in order");
    tell(rate, "drained");
    let cold = Backlog { messages: (messages / COLD_SHARE).max(1), ..deep };
    fill(&target, &cold, &progress)?;
    if let Target::Fresh { server, .. } = &mut target {
        server.kill()?;
        forget_pages(server.data_dir())?;
        server.restart()?;
        let rate = drain(&target, &cold, &progress, None)?;
        tell(rate, "with nothing in the system's cache: drained");
    }
    check_memory(arguments, &progress)
}

fn fill(target: &Target, backlog: &Backlog, progress: &Progress) -> Result<()> {
    let mut peer = connected(target)?;
    backlog.declare(&mut peer)?;
    let (since, mut before) = (Instant::now(), 0);
    backlog.fill(&mut peer, |count| {
        if crossed(before, count, backlog.messages / 10) {
            progress.tell(target, "fill", count, since);
        }
        before = count;
    })?;
    // Whatever was only waiting to be written has been by now.
    thread::sleep(Duration::from_secs(2));
    progress.tell(target, "full", backlog.messages, since);
    Ok(())
}

/// Drains and deletes it. Messages a second.
fn drain(target: &Target, backlog: &Backlog, progress: &Progress, killed_at: Option<Instant>) -> Result<f64> {
    let mut peer = connected(target)?;
    backlog.consume(&mut peer)?;
    let (since, mut before) = (Instant::now(), 0);
    backlog.drain(&mut peer, 0, |count| {
        if let Some(killed_at) = killed_at.filter(|_| count == 1) {
            println!("the first message came {:.2} s after the kill", killed_at.elapsed().as_secs_f64());
        }
        if crossed(before, count, backlog.messages / 10) {
            progress.tell(target, "drain", count, since);
        }
        before = count;
    })?;
    let rate = backlog.messages as f64 / since.elapsed().as_secs_f64();
    backlog.delete(&mut peer)?;
    Ok(rate)
}

/// Messages a second that come out of a queue that is all in memory: over some rounds, since one of them is soon over.
fn shallow_rate(target: &Target, arguments: &DepthArguments) -> Result<f64> {
    let (messages, body_bytes) = (SHALLOW.min(arguments.messages), arguments.body_bytes(100));
    let shallow = Backlog { queue: "shallow".into(), messages, body_bytes };
    let mut spent = Duration::ZERO;
    for _ in 0..SHALLOW_ROUNDS {
        let mut peer = connected(target)?;
        shallow.declare(&mut peer)?;
        shallow.fill(&mut peer, |_| ())?;
        let mut peer = connected(target)?;
        shallow.consume(&mut peer)?;
        let since = Instant::now();
        shallow.drain(&mut peer, 0, |_| ())?;
        spent += since.elapsed();
        shallow.delete(&mut peer)?;
    }
    Ok((u64::from(SHALLOW_ROUNDS) * shallow.messages) as f64 / spent.as_secs_f64())
}

/// Has the system forget what it has read and written of the files in a folder; all of them are synced.
fn forget_pages(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else {
            let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

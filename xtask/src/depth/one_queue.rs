//! One deep queue: memory while it grows and stands, the time after a kill, order and rate while it drains.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::load::Backlog;
use super::progress::{Progress, crossed};
use super::{DepthArguments, check_memory, connected, killed};
use crate::target::Target;

/// As many as fit into the cache: the rate that a deep queue is held against.
const SHALLOW: u64 = 200_000;
const SHALLOW_ROUNDS: u32 = 10;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let mut target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes as usize);
    println!("\none queue, {messages} messages of {body_bytes} bytes");
    let progress = Progress::start(&target);
    let shallow_rate = shallow_rate(&target, arguments)?;

    let deep = Backlog { queue: "depth".into(), messages, body_bytes };
    let mut peer = connected(&target)?;
    deep.declare(&mut peer)?;
    let (since, mut before) = (Instant::now(), 0);
    deep.fill(&mut peer, |count| {
        if crossed(before, count, messages / 10) {
            progress.tell(&target, "fill", count, since);
        }
        before = count;
    })?;
    // Whatever was only waiting to be written has been by now.
    thread::sleep(Duration::from_secs(2));
    let anonymous_bytes = target.usage().map(|usage| usage.anonymous_bytes);
    let killed_at = killed(&mut target)?;
    let mut peer = connected(&target)?;
    deep.consume(&mut peer)?;
    let (since, mut before) = (Instant::now(), 0);
    deep.drain(&mut peer, 0, |count| {
        if let Some(killed_at) = killed_at.filter(|_| count == 1) {
            println!("the first message came {:.2} s after the kill", killed_at.elapsed().as_secs_f64());
        }
        if crossed(before, count, messages / 10) {
            progress.tell(&target, "drain", count, since);
        }
        before = count;
    })?;
    let rate = messages as f64 / since.elapsed().as_secs_f64();
    deep.delete(&mut peer)?;
    println!("{messages} messages came out once and in order");
    let (deep_k, shallow_k) = (rate / 1000.0, shallow_rate / 1000.0);
    println!(
        "drained at {deep_k:.0},000/s, {:.0} % of a shallow queue's {shallow_k:.0},000/s",
        100.0 * rate / shallow_rate
    );
    check_memory(arguments, anonymous_bytes)
}

/// Messages a second that come out of a queue that is all in memory: over some rounds, since one of them is soon over.
fn shallow_rate(target: &Target, arguments: &DepthArguments) -> Result<f64> {
    let body_bytes = arguments.body_bytes as usize;
    let shallow = Backlog { queue: "shallow".into(), messages: SHALLOW.min(arguments.messages), body_bytes };
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

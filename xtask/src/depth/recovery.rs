//! One queue that many messages have gone through and few are left in: how soon after a kill the first of those comes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use testkit::amqp::Peer;

use super::load::Backlog;
use super::progress::{Progress, crossed};
use super::{DepthArguments, connected, killed};
use crate::target::Target;

/// Messages that are left.
const LIVE: u64 = 1000;

const FIRST_MESSAGE_MAX: Duration = Duration::from_millis(300);

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let mut target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes(100));
    let acked = messages.saturating_sub(LIVE);
    let live = messages - acked;
    println!("\n{messages} messages of {body_bytes} bytes go through one queue, the last {live} stay in it");
    let backlog = Backlog { queue: "depth".into(), messages, body_bytes };
    // Kept until the kill: to close a socket on what was not read would take the last ack back.
    let consumer = pass_through(&target, &backlog, acked)?;
    // Whatever was only waiting to be written has been by now.
    thread::sleep(Duration::from_secs(2));
    let killed_at = killed(&mut target)?;
    drop(consumer);
    let mut peer = connected(&target)?;
    backlog.consume(&mut peer)?;
    let mut first_after = None;
    backlog.drain(&mut peer, acked, |_| {
        first_after = first_after.or(killed_at.map(|killed_at| killed_at.elapsed()));
    })?;
    backlog.delete(&mut peer)?;
    println!("the {live} messages that were left came once and in order, and none that was acked");
    let Some(first_after) = first_after else { return Ok(()) };
    let (after_s, max_s) = (first_after.as_secs_f64(), FIRST_MESSAGE_MAX.as_secs_f64());
    println!("the first message came {after_s:.3} s after the kill (bar: {max_s} s)");
    if first_after > FIRST_MESSAGE_MAX {
        bail!("the first message came {after_s:.3} s after the kill; the bar is {max_s} s");
    }
    Ok(())
}

/// Publishes all messages while another connection acks so many of them; that one.
fn pass_through(target: &Target, backlog: &Backlog, acked: u64) -> Result<Peer> {
    let progress = Progress::start(target);
    let mut consumer = connected(target)?;
    backlog.declare(&mut consumer)?;
    backlog.consume(&mut consumer)?;
    let (since, mut before) = (Instant::now(), 0);
    thread::scope(|scope| {
        let filling = scope.spawn(|| {
            let mut publisher = connected(target)?;
            backlog.declare(&mut publisher)?;
            backlog.fill(&mut publisher, |_| ())
        });
        let passing = Backlog { messages: acked, ..backlog.clone() };
        passing.drain(&mut consumer, 0, |count| {
            if crossed(before, count, backlog.messages / 10) {
                progress.tell(target, "acked", count, since);
            }
            before = count;
        })?;
        filling.join().map_err(|_| anyhow!("the publisher has panicked"))?
    })?;
    Ok(consumer)
}

//! Ten deep queues that are filled and drained at once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::load::Backlog;
use super::progress::Progress;
use super::{DepthArguments, check_memory, connected, killed};
use crate::target::Target;

const QUEUES: u64 = 10;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let mut target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages / QUEUES, arguments.body_bytes(100));
    println!("\n{QUEUES} queues, {messages} messages of {body_bytes} bytes in each");
    let progress = Progress::start(&target);
    let backlogs: Vec<Backlog> = (0..QUEUES)
        .map(|number| Backlog { queue: format!("depth-{number}"), messages, body_bytes })
        .collect();
    let since = Instant::now();
    for_each(&target, &backlogs, |target, backlog| {
        let mut peer = connected(target)?;
        backlog.declare(&mut peer)?;
        backlog.fill(&mut peer, |_| ())
    })?;
    progress.tell(&target, "fill", QUEUES * messages, since);
    thread::sleep(Duration::from_secs(2));
    progress.tell(&target, "full", QUEUES * messages, since);
    killed(&mut target)?;
    let since = Instant::now();
    for_each(&target, &backlogs, |target, backlog| {
        let mut peer = connected(target)?;
        backlog.consume(&mut peer)?;
        backlog.drain(&mut peer, 0, |_| ())?;
        backlog.delete(&mut peer)
    })?;
    progress.tell(&target, "drain", QUEUES * messages, since);
    println!("all messages of all queues came out once and in order");
    check_memory(arguments, &progress)
}

/// Does it for all of them at once.
fn for_each(
    target: &Target,
    backlogs: &[Backlog],
    work: impl Fn(&Target, &Backlog) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let workers: Vec<_> = backlogs.iter().map(|backlog| scope.spawn(|| work(target, backlog))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker has panicked"))?)
    })
}

//! One message that nobody acks, among many that were: what it holds on disk.

use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::basic;
use anyhow::{Result, anyhow};
use testkit::amqp::short;

use super::load::Backlog;
use super::progress::{Progress, crossed};
use super::{DepthArguments, connected};
use crate::disk::folder_bytes;
use crate::target::Target;

const HOLDING: u16 = 3;

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let target = arguments.target.start(&[])?;
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes(1000));
    println!(
        "\none of {messages} messages of {body_bytes} bytes is never acked, all others are as they come"
    );
    let progress = Progress::start(&target);
    let backlog = Backlog { queue: "depth".into(), messages, body_bytes };
    let mut holder = connected(&target)?;
    backlog.declare(&mut holder)?;
    holder.open_channel(HOLDING)?;
    let qos = basic::Qos { prefetch_count: 1, ..Default::default() };
    let basic::QosOk {} = holder.call(HOLDING, qos)?;
    let consume = basic::Consume { queue: short(&backlog.queue), ..Default::default() };
    let _: basic::ConsumeOk = holder.call(HOLDING, consume)?;
    // The first message goes to the only consumer.
    let first = Backlog { messages: 1, ..backlog.clone() };
    first.fill(&mut holder, |_| ())?;
    holder.expect_delivery(HOLDING)?;
    let rest = Backlog { messages: messages - 1, ..backlog };
    let (since, mut before) = (Instant::now(), 0);
    thread::scope(|scope| -> Result<()> {
        let filling = scope.spawn(|| {
            let mut peer = connected(&target)?;
            rest.declare(&mut peer)?;
            rest.fill(&mut peer, |_| ())
        });
        let mut peer = connected(&target)?;
        rest.consume(&mut peer)?;
        rest.drain(&mut peer, 0, |count| {
            if crossed(before, count, messages / 10) {
                progress.tell(&target, "acked", count, since);
            }
            before = count;
        })?;
        filling.join().map_err(|_| anyhow!("the publisher has panicked"))?
    })?;
    let Target::Fresh { server, .. } = &target else { return Ok(()) };
    let megabytes = |bytes: u64| bytes >> 20;
    println!("disk right after: {} MB", megabytes(folder_bytes(server.data_dir())?));
    thread::sleep(Duration::from_secs(arguments.seconds));
    println!(
        "disk after {} s of quiet: {} MB",
        arguments.seconds,
        megabytes(folder_bytes(server.data_dir())?)
    );
    let published = messages * body_bytes as u64;
    if let Some(written) = progress.written_bytes(&target) {
        let (written_mb, published_mb) = (megabytes(written), megabytes(published));
        let times = written as f64 / published as f64;
        println!("written: {written_mb} MB for {published_mb} MB of bodies, {times:.2} times as much");
    }
    Ok(())
}

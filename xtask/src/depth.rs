//! `cargo xtask depth`: millions of messages without a consumer must not fill memory, are there again soon after a kill, and come
//! out in order.

use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{Method, basic, queue};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Peer, persistent, short};

use crate::confirmed::Confirmed;
use crate::table::Table;
use crate::target::{Target, TargetArguments};

#[derive(clap::Args)]
pub(crate) struct DepthArguments {
    /// How many messages to put into the queue.
    #[arg(long, default_value_t = 3_000_000)]
    messages: u64,
    /// Bytes of each, from 8 to 60,000.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=60_000))]
    body_bytes: u32,
    /// The server's cache budget; its memory must stay below this plus 64 bytes a message.
    #[arg(long, default_value_t = 256)]
    budget_mb: u64,
    #[command(flatten)]
    target: TargetArguments,
}

const CHANNEL: u16 = 1;
const QUEUE: &str = "depth";
const BYTES_PER_MESSAGE: u64 = 64;

/// Publishes that may wait for their confirm.
const WINDOW: u64 = 20_000;

/// Messages in one write.
const BATCH: u64 = 200;

/// Acks that leave together while draining.
const ACK_EVERY: u64 = 500;

pub(crate) fn run(arguments: &DepthArguments) -> Result<()> {
    let mut target = arguments.target.start(&[])?;
    let table = Table::start(&["step", "messages", "seconds", "anonymous MB", "written MB", "1000/s"], 12);
    let progress = Progress { table, started: Instant::now() };
    let mut peer = connected(&target)?;
    fill(&mut peer, &target, arguments, &progress)?;

    // Whatever was only waiting to be written has been by now.
    thread::sleep(Duration::from_secs(2));
    let anonymous_bytes = target.usage().map(|usage| usage.anonymous_bytes);
    let killed = Instant::now();
    if let Target::Fresh { server, .. } = &mut target {
        server.kill()?;
        server.restart()?;
        println!("killed and ready again after {:.2} s", killed.elapsed().as_secs_f64());
        peer = connected(&target)?;
    }
    drain(&mut peer, &target, arguments, &progress, killed)?;
    let limit_bytes = (arguments.budget_mb << 20) + BYTES_PER_MESSAGE * arguments.messages;
    match anonymous_bytes {
        None => println!("memory is unknown; name the broker's process with --pid"),
        Some(bytes) if bytes < limit_bytes => {
            println!("{} MB of anonymous memory when full, below {} MB", bytes >> 20, limit_bytes >> 20);
        }
        Some(bytes) => {
            bail!("{} MB of anonymous memory when full; the limit is {} MB", bytes >> 20, limit_bytes >> 20)
        }
    }
    Ok(())
}

fn connected(target: &Target) -> Result<Peer> {
    let mut peer = Peer::open(&target.endpoint())?;
    peer.set_wait_max(Duration::from_secs(60))?;
    Ok(peer)
}

/// Prints how far it has got.
struct Progress {
    table: Table,
    started: Instant,
}

impl Progress {
    fn tell(&self, target: &Target, step: &str, count: u64, since: Instant) {
        let usage = target.usage();
        let megabytes =
            |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| (bytes >> 20).to_string());
        let memory = megabytes(usage.map(|usage| usage.anonymous_bytes));
        let written = megabytes(usage.map(|usage| usage.written_bytes));
        let rate = count as f64 / since.elapsed().as_secs_f64() / 1000.0;
        let seconds = format!("{:.1}", self.started.elapsed().as_secs_f64());
        self.table.row(&[
            format!("{step:<12}"),
            count.to_string(),
            seconds,
            memory,
            written,
            format!("{rate:.1}"),
        ]);
    }
}

fn fill(peer: &mut Peer, server: &Target, arguments: &DepthArguments, progress: &Progress) -> Result<()> {
    let messages = arguments.messages;
    peer.open_confirm_channel(CHANNEL)?;
    let declare = queue::Declare { queue: short(QUEUE), durable: true, ..Default::default() };
    let _: queue::DeclareOk = peer.call(CHANNEL, declare)?;
    let target = Publication { exchange: b"", routing_key: QUEUE.as_bytes(), mandatory: false };
    let (properties, mut body, mut out) =
        (persistent(), vec![b'x'; arguments.body_bytes as usize], Vec::new());
    let (mut published, mut confirmed, since) = (0, Confirmed::default(), Instant::now());
    while confirmed.count() < messages {
        while published < messages && published - confirmed.count() < WINDOW {
            out.clear();
            let batch = published..messages.min(published + BATCH);
            published = batch.end;
            for number in batch {
                body[..8].copy_from_slice(&number.to_be_bytes());
                let content = Content { properties: &properties, body: &body };
                hot::publish(&mut out, CHANNEL, peer.frame_max(), &target, content);
            }
            peer.send_raw(&out)?;
        }
        let before = confirmed.count();
        wait_confirms(peer, &mut confirmed)?;
        if crossed(before, confirmed.count(), messages / 10) {
            progress.tell(server, "fill", confirmed.count(), since);
        }
    }
    Ok(())
}

fn wait_confirms(peer: &mut Peer, confirmed: &mut Confirmed) -> Result<()> {
    let incoming = peer.receive()?;
    let Method::Basic(basic::Method::Ack(basic::Ack { delivery_tag, multiple })) = incoming.method else {
        bail!("expected confirms, got {:?}", incoming.method);
    };
    confirmed.on_ack(delivery_tag, multiple);
    Ok(())
}

fn drain(
    peer: &mut Peer,
    server: &Target,
    arguments: &DepthArguments,
    progress: &Progress,
    killed: Instant,
) -> Result<()> {
    let messages = arguments.messages;
    let drain_channel = CHANNEL + 1;
    peer.open_channel(drain_channel)?;
    let qos = basic::Qos { prefetch_count: 4 * ACK_EVERY as u16, ..Default::default() };
    let basic::QosOk {} = peer.call(drain_channel, qos)?;
    let consume = basic::Consume { queue: short(QUEUE), ..Default::default() };
    let _: basic::ConsumeOk = peer.call(drain_channel, consume)?;
    let since = Instant::now();
    for expected in 0..messages {
        let (deliver, content) = peer.expect_delivery(drain_channel)?;
        let number = content.body.first_chunk().map(|number| u64::from_be_bytes(*number));
        let number = number.context("a body without a number")?;
        if expected == 0 {
            println!("the first message came {:.2} s after the kill", killed.elapsed().as_secs_f64());
        }
        if number != expected || content.body.len() != arguments.body_bytes as usize {
            bail!(
                "message {expected} should come now; message {number} of {} bytes came",
                content.body.len()
            );
        }
        if (expected + 1).is_multiple_of(ACK_EVERY) || expected + 1 == messages {
            peer.send(drain_channel, basic::Ack { delivery_tag: deliver.delivery_tag, multiple: true })?;
        }
        if crossed(expected, expected + 1, messages / 10) {
            progress.tell(server, "drain", expected + 1, since);
        }
    }
    let deleted: queue::DeleteOk =
        peer.call(drain_channel, queue::Delete { queue: short(QUEUE), ..Default::default() })?;
    if deleted.message_count != 0 {
        bail!("{} messages are left after all were delivered", deleted.message_count);
    }
    println!("{messages} messages came out once and in order");
    Ok(())
}

/// Whether a multiple of `step` lies between the two.
fn crossed(before: u64, after: u64, step: u64) -> bool {
    step > 0 && before / step < after / step
}

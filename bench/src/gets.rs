//! Asking for one message after the other, and what a round trip costs at least.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::{Method, basic, hot, queue};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Peer, short, transient};

use crate::load::Run;
use crate::{Confirmed, Figures, Latencies, Subject, Times};

const CHANNEL: u16 = 1;
const BODY_BYTES: usize = 100;
/// Messages that are published at once, whenever none is left.
const REFILL: usize = 20_000;

/// Takes messages of 100 B out of a queue by `basic.get`, one at a time, without acks.
///
/// # Errors
/// When the broker refuses something or leaves.
pub fn gets(subject: &Subject, times: Times) -> Result<Figures> {
    let name = format!("bench.get.{}", std::process::id());
    let (mut peer, mut filler) = (Peer::open(&subject.endpoint)?, Peer::open(&subject.endpoint)?);
    peer.open_channel(CHANNEL)?;
    filler.open_confirm_channel(CHANNEL)?;
    let _: queue::DeclareOk =
        peer.call(CHANNEL, queue::Declare { queue: short(&name), ..Default::default() })?;
    let run = Run::new();
    let outcome = thread::scope(|scope| {
        let getting = scope.spawn(|| get_until_stopped(&run, &mut peer, &mut filler, &name));
        let mut figures = run.count(subject, times)?;
        run.stop();
        figures.end_to_end = getting.join().map_err(|_| anyhow::anyhow!("the getting has panicked"))??;
        figures.published = figures.received;
        Ok(figures)
    });
    let _: queue::DeleteOk =
        peer.call(CHANNEL, queue::Delete { queue: short(&name), ..Default::default() })?;
    outcome
}

fn get_until_stopped(run: &Run, peer: &mut Peer, filler: &mut Peer, name: &str) -> Result<Latencies> {
    let (mut latencies, mut confirmed, mut published) = (Latencies::default(), Confirmed::default(), 0);
    while !run.is_stopping() {
        published += REFILL as u64;
        fill(filler, name, &mut confirmed, published)?;
        for _ in 0..REFILL {
            let asked = Instant::now();
            peer.send(CHANNEL, basic::Get { queue: short(name), no_ack: true })?;
            let incoming = peer.receive()?;
            let Method::Basic(basic::Method::GetOk(_)) = incoming.method else {
                bail!("expected a message, got {:?}", incoming.method);
            };
            if run.is_measuring() {
                latencies.note(asked.elapsed());
            }
            run.received.fetch_add(1, Ordering::Relaxed);
            if run.is_stopping() {
                break;
            }
        }
    }
    Ok(latencies)
}

/// Publishes some messages, and waits until they are in the queue.
fn fill(peer: &mut Peer, name: &str, confirmed: &mut Confirmed, published: u64) -> Result<()> {
    let publication = hot::Publication { exchange: b"", routing_key: name.as_bytes(), mandatory: false };
    let (properties, body, mut out) = (transient(), [b'x'; BODY_BYTES], Vec::new());
    for _ in 0..REFILL {
        let content = hot::Content { properties: &properties, body: &body };
        hot::publish(&mut out, CHANNEL, peer.frame_max(), &publication, content);
    }
    peer.send_raw(&out)?;
    while confirmed.count() < published {
        let ack: basic::Ack = peer.expect(CHANNEL)?;
        confirmed.on_ack(ack.delivery_tag, ack.multiple);
    }
    Ok(())
}

/// Round trips of as many bytes as such a message takes, over a connection to an echo server: one at a time, for so long.
///
/// # Errors
/// When the server leaves.
pub fn echo_round_trips(address: &str, measured: Duration) -> Result<Latencies> {
    let mut socket = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    socket.set_nodelay(true)?;
    let (message, mut answer, mut latencies) =
        ([b'x'; 2 * BODY_BYTES], [0; 2 * BODY_BYTES], Latencies::default());
    let began = Instant::now();
    while began.elapsed() < measured {
        let asked = Instant::now();
        socket.write_all(&message)?;
        socket.read_exact(&mut answer)?;
        latencies.note(asked.elapsed());
    }
    Ok(latencies)
}

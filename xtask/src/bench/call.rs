//! The round trip that the project exists for: an HTTP request parked until a worker on AMQP has answered it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::{PropertiesView, basic, hot};
use anyhow::{Context, Result, bail, ensure};
use bench::{Latencies, Times};
use testkit::amqp::{Endpoint, Peer, short};
use testkit::http::{HttpPeer, Request};

use crate::target::Target;

/// What was measured.
#[derive(Debug)]
pub(super) struct CallFigures {
    pub(super) calls_per_s: f64,
    /// Processor time of the server for each call; `None` where it is not known which process it is.
    pub(super) server_us: Option<f64>,
    pub(super) latency: Latencies,
}

const CHANNEL: u16 = 1;
const QUEUE: &str = "bench.call";

/// Lets so many callers ask for so long, each one thing at a time, and one worker answer them.
pub(super) fn measure(target: &Target, callers: usize, times: Times) -> Result<CallFigures> {
    let http = target.http_address().context("this workload needs a server of its own: leave out --url")?;
    let declared = HttpPeer::open(&http)?.call(&Request::put(format!("/v1/queues/{QUEUE}")).json("{}"))?;
    ensure!(matches!(declared.status, 200 | 201), "no task queue: {}", declared.text());
    let (stopping, counting, answered) =
        (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let endpoint = target.endpoint();
    thread::scope(|scope| {
        let worker = scope.spawn(|| work(&endpoint, &answered));
        let asking: Vec<_> = (0..callers)
            .map(|number| {
                scope.spawn({
                    let (http, counting, stopping) = (&http, &counting, &stopping);
                    move || ask(http, number, counting, stopping)
                })
            })
            .collect();
        thread::sleep(times.warm_up);
        let (before, started) = (target.usage(), Instant::now());
        counting.store(true, Ordering::Relaxed);
        thread::sleep(times.measured);
        counting.store(false, Ordering::Relaxed);
        let (after, elapsed) = (target.usage(), started.elapsed());
        stopping.store(true, Ordering::Relaxed);
        let outcomes: Vec<_> = asking.into_iter().map(|caller| caller.join()).collect();
        answered.store(true, Ordering::Relaxed);
        worker.join().map_err(|_| anyhow::anyhow!("the worker panicked"))??;
        let mut latency = Latencies::default();
        for outcome in outcomes {
            latency.add(&outcome.map_err(|_| anyhow::anyhow!("a caller panicked"))??);
        }
        let calls = latency.count();
        ensure!(calls > 0, "no call was answered within {:?}", times.measured);
        let server_us = before
            .zip(after)
            .map(|(before, after)| (after.cpu_time - before.cpu_time).as_secs_f64() * 1e6 / calls as f64);
        let calls_per_s = calls as f64 / elapsed.as_secs_f64();
        Ok(CallFigures { calls_per_s, server_us, latency })
    })
}

/// One caller: asks, checks the answer, asks again.
fn ask(http: &str, number: usize, counting: &AtomicBool, stopping: &AtomicBool) -> Result<Latencies> {
    let mut peer = HttpPeer::open(http)?;
    let mut latencies = Latencies::default();
    for call in 0_u64.. {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        let body = format!("{number}.{call}");
        let request = Request::post(format!("/v1/queues/{QUEUE}/call")).body("text/plain", body.clone());
        let started = Instant::now();
        let answer = peer.call(&request)?;
        let latency = started.elapsed();
        if answer.status != 200 || answer.body != body.as_bytes() {
            bail!("call {body} was answered with {}: {}", answer.status, answer.text());
        }
        if counting.load(Ordering::Relaxed) {
            latencies.note(latency);
        }
    }
    Ok(latencies)
}

/// An RPC worker as everybody writes it: publishes what it got to where it is asked to, and acks. Until all are answered.
fn work(endpoint: &Endpoint, answered: &AtomicBool) -> Result<()> {
    let mut peer = Peer::open(endpoint)?;
    peer.open_channel(CHANNEL)?;
    let _: basic::QosOk = peer.call(CHANNEL, basic::Qos { prefetch_count: 100, ..Default::default() })?;
    let _: basic::ConsumeOk =
        peer.call(CHANNEL, basic::Consume { queue: short(QUEUE), ..Default::default() })?;
    while !answered.load(Ordering::Relaxed) {
        let Some(incoming) = peer.receive_within(Duration::from_millis(50))? else { continue };
        let Some((deliver, body)) = incoming.delivery() else { continue };
        let delivery_tag = deliver.delivery_tag;
        let properties =
            incoming.content.as_ref().map(|content| content.properties.as_slice()).unwrap_or_default();
        let reply_to =
            PropertiesView::from_checked(properties).reply_to().context("a task without reply-to")?;
        let publication = hot::Publication { exchange: b"", routing_key: reply_to, mandatory: false };
        peer.publish(CHANNEL, &publication, PropertiesView::NONE.as_bytes(), body)?;
        peer.send(CHANNEL, basic::Ack { delivery_tag, multiple: false })?;
    }
    Ok(())
}

//! The culprit waits, and nobody else.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use amqp_wire::{Method, Properties, basic, hot, queue};
use testkit::amqp::{Handshake, Peer};

use crate::support::{Fresh, consume, declare, expect_confirm, name, publish};

const MIB: u64 = 1024 * 1024;

/// How long one confirmed publish and its delivery take while something else goes on. Generous, because test
/// machines are small and their disks shared; a neighbour who blocks does so for ever.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(20);

fn round_trips(fresh: &Fresh, queue: &str, count: u64) {
    let mut publisher = fresh.publisher();
    let mut consumer = fresh.client();
    declare(&mut publisher, queue, true);
    consume(&mut consumer, queue, true);
    for number in 1..=count {
        let started = Instant::now();
        publish(&mut publisher, queue, true, b"ping");
        expect_confirm(&mut publisher, number);
        consumer.expect_delivery(1).unwrap();
        assert!(started.elapsed() < ROUND_TRIP_MAX, "round trip {number} took {:?}", started.elapsed());
    }
}

/// Publishes as fast as the broker takes it, until told to stop.
fn flood(
    fresh: &Fresh,
    queue: &str,
    persistent: bool,
    body_bytes: usize,
) -> (Arc<AtomicBool>, JoinHandle<u64>) {
    let mut peer = fresh.client();
    declare(&mut peer, queue, true);
    let mut frames = Vec::new();
    let properties =
        Properties { delivery_mode: Some(if persistent { 2 } else { 1 }), ..Properties::default() }
            .to_bytes();
    let publication = hot::Publication { exchange: b"", routing_key: queue.as_bytes(), mandatory: false };
    let mut per_write = 0;
    while frames.len() < 256 * 1024 {
        let content = hot::Content { properties: &properties, body: &vec![7; body_bytes] };
        hot::publish(&mut frames, 1, peer.frame_max(), &publication, content);
        per_write += 1;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flooding = thread::spawn(move || {
        let mut published = 0;
        while !stopped.load(Ordering::Relaxed) {
            peer.send_raw(&frames).unwrap();
            published += per_write;
        }
        published
    });
    (stop, flooding)
}

#[test]
fn a_flood_from_one_publisher_does_not_stall_another() {
    let fresh = Fresh::start();
    let (stop, flooding) = flood(&fresh, "flooded", true, 1024);
    thread::sleep(Duration::from_millis(200));
    round_trips(&fresh, "calm", 50);
    stop.store(true, Ordering::Relaxed);
    assert!(flooding.join().unwrap() > 0);
}

#[test]
fn a_slow_consumer_does_not_block_others() {
    let fresh = Fresh::start();
    let mut slow = fresh.client();
    declare(&mut slow, "shared", true);
    consume(&mut slow, "shared", true);
    // Never reads again. What it is sent fills its window and its socket, and stays there.
    let (stop, flooding) = flood(&fresh, "shared", false, 10_000);
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    round_trips(&fresh, "other", 20);
    // The same queue still serves others, with what was not sent to the slow one.
    let mut quick = fresh.client();
    consume(&mut quick, "shared", true);
    for _ in 0..10 {
        quick.expect_delivery(1).unwrap();
    }
}

#[test]
fn a_client_that_stops_reading_takes_bounded_memory() {
    let fresh = Fresh::start_with(&["--cache-bodies-bytes", "8388608"]);
    let mut slow = fresh.client();
    declare(&mut slow, "shared", true);
    consume(&mut slow, "shared", true);
    let (stop, flooding) = flood(&fresh, "shared", false, 10_000);
    let started = Instant::now();
    let mut highest = 0;
    while started.elapsed() < Duration::from_secs(3) {
        highest = highest.max(fresh.server.usage().unwrap().anonymous_bytes);
        thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    let published = flooding.join().unwrap();
    assert!(
        published * 10_000 > 100 * MIB,
        "only {published} messages came through: too few to show anything"
    );
    assert!(highest < 96 * MIB, "{} MiB after {} MiB published", highest / MIB, published * 10_000 / MIB);
}

/// Its socket is full, and its heartbeats have stopped: nothing that is owed to it keeps it.
#[test]
fn a_dead_client_that_is_owed_much_is_let_go() {
    let fresh = Fresh::start();
    let handshake = Handshake { heartbeat_secs: 1, ..Handshake::default() };
    let mut dead = Peer::open_with(&fresh.server.endpoint(), &handshake).unwrap();
    dead.open_channel(1).unwrap();
    declare(&mut dead, "owed", true);
    consume(&mut dead, "owed", true);
    let (stop, flooding) = flood(&fresh, "owed", false, 10_000);
    let started = Instant::now();
    while fresh.metric("rabbitmq_consumers") > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "still there after {:?}", started.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    drop(fresh.client());
    assert!(started.elapsed() > Duration::from_secs(1), "gone before two heartbeats could be missed");
    while fresh.metric("rabbitmq_connections") > 0 {
        assert!(started.elapsed() < Duration::from_secs(15), "its socket is still there");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Asks for answers and reads none of them, first with what the protocol layer answers itself, then with what
/// the core does.
#[test]
fn a_client_that_asks_and_does_not_listen_takes_bounded_memory() {
    check_deaf(&Method::from(queue::Declare { queue: name("q"), passive: true, ..Default::default() }));
    check_deaf(&Method::from(basic::Get { queue: name("q"), no_ack: true }));
    check_deaf(&Method::from(amqp_wire::access::Request::default()));
}

fn check_deaf(request: &Method) {
    let fresh = Fresh::start();
    let mut deaf = fresh.client();
    declare(&mut deaf, "q", true);
    let mut requests = Vec::new();
    while requests.len() < 1 << 20 {
        request.encode_frame(&mut requests, 1);
    }
    let sent = send_until_stuck(&deaf, &requests);
    let used = fresh.server.usage().unwrap().anonymous_bytes;
    assert!(used < 128 * MIB, "{}: {} MiB after {} MiB of requests", request.name(), used / MIB, sent / MIB);
    round_trips(&fresh, "other", 5);
    // It gets its answers when it listens again.
    for _ in 0..1000 {
        deaf.receive().unwrap();
    }
}

/// Writes until the broker has taken nothing for a second; returns how much it took, 200 MiB at the most.
fn send_until_stuck(peer: &Peer, bytes: &[u8]) -> u64 {
    let mut socket: TcpStream = peer.socket().unwrap();
    socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut sent = 0;
    while sent < 200 * MIB {
        match socket.write(&bytes[sent as usize % bytes.len()..]) {
            Ok(count) => sent += count as u64,
            Err(_) => break,
        }
    }
    sent
}

//! What the yardstick has to do right to be one.

use std::net::TcpListener;
use std::thread;

use amqp_wire::hot::Publication;
use amqp_wire::{basic, channel, confirm, connection, queue};
use testkit::amqp::{Endpoint, Peer, persistent, short, transient};

use super::journal::Journal;

/// A broker that ends with the tests.
fn start(name: &str) -> Endpoint {
    let folder = std::env::temp_dir().join(format!("null-broker-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let journal = Journal::create(&folder).unwrap();
    // The file lives on as long as the broker has it open.
    std::fs::remove_dir_all(&folder).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::guest(listener.local_addr().unwrap());
    thread::spawn(|| super::serve_on(listener, journal));
    endpoint
}

fn open(endpoint: &Endpoint) -> Peer {
    let mut peer = Peer::open(endpoint).unwrap();
    peer.open_confirm_channel(1).unwrap();
    let _: queue::DeclareOk =
        peer.call(1, queue::Declare { queue: short("q"), ..Default::default() }).unwrap();
    peer
}

fn consume(peer: &mut Peer, tag: &str) {
    let consume = basic::Consume { queue: short("q"), consumer_tag: short(tag), ..Default::default() };
    let _: basic::ConsumeOk = peer.call(1, consume).unwrap();
}

fn publish(peer: &mut Peer, properties: &[u8], body: &[u8]) {
    let publication = Publication { exchange: b"", routing_key: b"q", mandatory: false };
    peer.publish(1, &publication, properties, body).unwrap();
}

fn wait_for_confirm(peer: &mut Peer, tag: u64) {
    loop {
        let ack: basic::Ack = peer.expect(1).unwrap();
        assert!(ack.multiple && ack.delivery_tag <= tag, "{ack:?}");
        if ack.delivery_tag == tag {
            break;
        }
    }
}

/// Bodies of all kinds: empty, small, of several frames; with a property before the delivery mode.
fn messages() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut messages = Vec::new();
    for body_bytes in [0, 1, 100, 5000, 200_000, 1_000_000] {
        messages.push((persistent(), vec![b'p'; body_bytes]));
        messages.push((transient(), vec![b't'; body_bytes]));
        messages.push((b"\x90\x00\x01a\x02".to_vec(), vec![b'c'; body_bytes]));
    }
    messages
}

fn check_deliveries(peer: &mut Peer, expected: &[(Vec<u8>, Vec<u8>)]) {
    for (tag, (properties, body)) in (1..).zip(expected) {
        let (deliver, content) = peer.expect_delivery(1).unwrap();
        assert_eq!((deliver.delivery_tag, deliver.routing_key), (tag, short("q")));
        assert_eq!(deliver.consumer_tag, short("c"));
        assert!((&content.properties, &content.body) == (properties, body), "delivery {tag}");
    }
}

#[test]
fn messages_come_as_they_were_published() {
    let endpoint = start("as-published");
    let (mut publisher, mut consumer) = (open(&endpoint), open(&endpoint));
    consume(&mut consumer, "c");
    let messages = messages();
    messages.iter().for_each(|(properties, body)| publish(&mut publisher, properties, body));
    check_deliveries(&mut consumer, &messages);
    wait_for_confirm(&mut publisher, messages.len() as u64);
}

#[test]
fn messages_wait_for_a_consumer() {
    let endpoint = start("waiting");
    let (mut publisher, mut consumer) = (open(&endpoint), open(&endpoint));
    let messages = messages();
    let (early, late) = messages.split_at(7);
    early.iter().for_each(|(properties, body)| publish(&mut publisher, properties, body));
    consume(&mut consumer, "c");
    late.iter().for_each(|(properties, body)| publish(&mut publisher, properties, body));
    check_deliveries(&mut consumer, &messages);
    wait_for_confirm(&mut publisher, messages.len() as u64);
}

#[test]
fn consumers_take_turns() {
    let endpoint = start("turns");
    let (mut one, mut other) = (open(&endpoint), open(&endpoint));
    consume(&mut one, "c");
    consume(&mut other, "c");
    let mut publisher = open(&endpoint);
    (0..10).for_each(|_| publish(&mut publisher, &persistent(), b"body"));
    let expected = vec![(persistent(), b"body".to_vec()); 5];
    check_deliveries(&mut one, &expected);
    check_deliveries(&mut other, &expected);
    wait_for_confirm(&mut publisher, 10);
}

#[test]
fn a_slow_consumer_stops_publishers_but_loses_nothing() {
    let endpoint = start("slow");
    let (mut publisher, mut consumer) = (open(&endpoint), open(&endpoint));
    consume(&mut consumer, "c");
    let message = (transient(), vec![b'x'; 100_000]);
    let (done, finished) = std::sync::mpsc::channel();
    let publishing = thread::spawn({
        let message = message.clone();
        move || {
            (0..1500).for_each(|_| publish(&mut publisher, &message.0, &message.1));
            done.send(()).unwrap();
            wait_for_confirm(&mut publisher, 1500);
        }
    });
    let patience = std::time::Duration::from_millis(1000);
    assert!(finished.recv_timeout(patience).is_err(), "150 MB went in and nothing came out");
    check_deliveries(&mut consumer, &vec![message; 1500]);
    publishing.join().unwrap();
}

#[test]
fn no_wait_is_respected_and_the_end_is_answered() {
    let endpoint = start("no-wait");
    let mut peer = open(&endpoint);
    peer.send(1, queue::Declare { queue: short("q"), no_wait: true, ..Default::default() }).unwrap();
    peer.send(1, confirm::Select { no_wait: true }).unwrap();
    peer.send(1, basic::Consume { queue: short("q"), no_wait: true, ..Default::default() }).unwrap();
    peer.send(1, basic::Qos { prefetch_count: 10, ..Default::default() }).unwrap();
    assert!(peer.receive().unwrap().get::<basic::QosOk>().is_some());
    let channel::CloseOk {} = peer.call(1, channel::Close::default()).unwrap();
    let connection::CloseOk {} = peer.call(0, connection::Close::default()).unwrap();
    assert!(peer.expect_end().unwrap().is_empty());
}

#[test]
fn what_is_not_served_ends_the_connection() {
    let endpoint = start("not-served");
    let mut peer = open(&endpoint);
    peer.send(1, basic::Get { queue: short("q"), ..Default::default() }).unwrap();
    assert!(peer.expect_end().unwrap().is_empty());
    let mut other = Peer::dial(&endpoint.address).unwrap();
    other.send_raw(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    other.expect_end().unwrap();
}

//! The message path allocates nothing per message: parsing and writing 1000 publishes is counted.

use allocation_count::{CountingAllocator, allocations_of};
use amqp_wire::hot::{self, Content, Delivery, HotMethod, Publication};
use amqp_wire::{ContentHeader, FrameKind, FrameScanner, Properties, ShortString, Value};

const MESSAGES: u64 = 1000;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_publish_that_becomes_a_delivery_allocates_nothing() {
    let incoming = publishes();
    let mut outgoing = Vec::with_capacity(incoming.len() * 3);
    let mut delivered = 0;
    let count = allocations_of(|| delivered = deliver_all(&incoming, &mut outgoing));
    assert_eq!(delivered, MESSAGES);
    assert_eq!(count, 0, "allocations for {MESSAGES} messages");
}

#[test]
fn settling_allocates_nothing() {
    let mut acks = Vec::new();
    (1..=MESSAGES).for_each(|tag| hot::ack(&mut acks, 1, tag, false));
    let mut settled = 0;
    let count = allocations_of(|| {
        let mut scanner = FrameScanner::new(&acks, 131_072);
        while let Ok(Some(frame)) = scanner.next_frame() {
            if let Ok(HotMethod::Ack(ack)) = HotMethod::parse(scanner.payload(&frame)) {
                settled = ack.delivery_tag;
            }
        }
    });
    assert_eq!((settled, count), (MESSAGES, 0));
}

/// Messages of 1 KB with headers and a few properties, as a client sends them.
fn publishes() -> Vec<u8> {
    let properties = Properties {
        content_type: Some(ShortString::from_static("application/json")),
        headers: Some([(ShortString::from_static("trace"), Value::text("abc"))].into_iter().collect()),
        delivery_mode: Some(2),
        ..Properties::default()
    }
    .to_bytes();
    let publication = Publication { exchange: b"events", routing_key: b"order.created", mandatory: false };
    let mut out = Vec::new();
    for _ in 0..MESSAGES {
        hot::publish(
            &mut out,
            1,
            131_072,
            &publication,
            Content { properties: &properties, body: &[7; 1024] },
        );
    }
    out
}

/// What a broker does with each message, less the routing. Returns how many there were.
fn deliver_all(incoming: &[u8], outgoing: &mut Vec<u8>) -> u64 {
    let mut scanner = FrameScanner::new(incoming, 131_072);
    let mut names: (&[u8], &[u8]) = (b"", b"");
    let mut properties: &[u8] = b"";
    let mut delivery_tag = 0;
    while let Ok(Some(frame)) = scanner.next_frame() {
        let payload = scanner.payload(&frame);
        match frame.kind {
            FrameKind::Method => {
                let Ok(HotMethod::Publish(publish)) = HotMethod::parse(payload) else { break };
                names = (publish.exchange(payload), publish.routing_key(payload));
            }
            FrameKind::Header => {
                let Ok(header) = ContentHeader::decode(payload) else { break };
                assert!(header.properties.is_persistent());
                assert_eq!(
                    header.properties.header(b"trace").and_then(|trace| trace.as_str_bytes()).unwrap(),
                    b"abc"
                );
                properties = header.properties.as_bytes();
            }
            FrameKind::Body => {
                delivery_tag += 1;
                let (exchange, routing_key) = names;
                let delivery =
                    Delivery { consumer_tag: b"c", delivery_tag, redelivered: false, exchange, routing_key };
                hot::deliver(
                    outgoing,
                    frame.channel,
                    131_072,
                    &delivery,
                    Content { properties, body: payload },
                );
            }
            FrameKind::Heartbeat => {}
        }
    }
    delivery_tag
}

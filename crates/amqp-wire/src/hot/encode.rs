//! Outgoing methods of the message path, with their content.

use crate::content::encode_header_frame;
use crate::frame::{FRAME_END, FRAME_OVERHEAD_BYTES, FrameKind, push_header};

/// Properties and body of a message.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Encoded properties, flags first.
    pub properties: &'a [u8],
    /// The whole body.
    pub body: &'a [u8],
}

/// The arguments of `basic.deliver`. Names have at most 255 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The consumer.
    pub consumer_tag: &'a [u8],
    /// The delivery's number on the channel.
    pub delivery_tag: u64,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: &'a [u8],
    /// Its routing key.
    pub routing_key: &'a [u8],
}

/// The arguments of `basic.get-ok`. Names have at most 255 bytes.
#[derive(Clone, Copy, Debug)]
pub struct GetAnswer<'a> {
    /// The delivery's number on the channel.
    pub delivery_tag: u64,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: &'a [u8],
    /// Its routing key.
    pub routing_key: &'a [u8],
    /// Ready messages left in the queue.
    pub message_count: u32,
}

/// The arguments of `basic.return`. Names and text have at most 255 bytes.
#[derive(Clone, Copy, Debug)]
pub struct ReturnedMessage<'a> {
    /// Why.
    pub reply_code: crate::ReplyCode,
    /// Why, as text; RabbitMQ sends the bare name: `NO_ROUTE`.
    pub reply_text: &'a [u8],
    /// The exchange that it was published to.
    pub exchange: &'a [u8],
    /// Its routing key.
    pub routing_key: &'a [u8],
}

/// The arguments of `basic.publish`, for clients. Names have at most 255 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The exchange; empty for the default one.
    pub exchange: &'a [u8],
    /// The routing key.
    pub routing_key: &'a [u8],
    /// Return the message if it meets no queue.
    pub mandatory: bool,
}

/// Appends a delivery: method, header and body frames.
///
/// `frame_max` is the agreed size of whole frames in bytes, 0 for no limit. Bodies are cut to it; an empty body has no
/// frame. Costs one copy of the content and no allocation but the growth of `out`.
///
/// # Panics
/// When a name is longer than 255 bytes. So does every function here that takes names.
pub fn deliver(
    out: &mut Vec<u8>,
    channel: u16,
    frame_max: u32,
    delivery: &Delivery<'_>,
    content: Content<'_>,
) {
    reserve(out, frame_max, content);
    deliver_start(out, channel, delivery, content.properties, content.body.len() as u64);
    body_frames(out, channel, frame_max, content.body);
}

/// Appends the method and header frames of a delivery whose body the caller sends itself.
pub fn deliver_start(
    out: &mut Vec<u8>,
    channel: u16,
    delivery: &Delivery<'_>,
    properties: &[u8],
    body_bytes: u64,
) {
    let Delivery { consumer_tag, delivery_tag, redelivered, exchange, routing_key } = *delivery;
    let names_bytes = consumer_tag.len() + exchange.len() + routing_key.len();
    method_start(out, channel, 60, names_bytes + 3 + 8 + 1);
    short_string(out, consumer_tag);
    out.extend_from_slice(&delivery_tag.to_be_bytes());
    out.push(redelivered.into());
    short_string(out, exchange);
    short_string(out, routing_key);
    out.push(FRAME_END);
    encode_header_frame(out, channel, body_bytes, properties);
}

/// Appends the answer to `basic.get`: method, header and body frames.
pub fn get_ok(out: &mut Vec<u8>, channel: u16, frame_max: u32, answer: &GetAnswer<'_>, content: Content<'_>) {
    let GetAnswer { delivery_tag, redelivered, exchange, routing_key, message_count } = *answer;
    reserve(out, frame_max, content);
    method_start(out, channel, 71, exchange.len() + routing_key.len() + 2 + 8 + 1 + 4);
    out.extend_from_slice(&delivery_tag.to_be_bytes());
    out.push(redelivered.into());
    short_string(out, exchange);
    short_string(out, routing_key);
    out.extend_from_slice(&message_count.to_be_bytes());
    out.push(FRAME_END);
    content_frames(out, channel, frame_max, content);
}

/// Appends a returned message: method, header and body frames.
pub fn basic_return(
    out: &mut Vec<u8>,
    channel: u16,
    frame_max: u32,
    returned: &ReturnedMessage<'_>,
    content: Content<'_>,
) {
    let ReturnedMessage { reply_code, reply_text, exchange, routing_key } = *returned;
    reserve(out, frame_max, content);
    method_start(out, channel, 50, reply_text.len() + exchange.len() + routing_key.len() + 3 + 2);
    out.extend_from_slice(&reply_code.number().to_be_bytes());
    short_string(out, reply_text);
    short_string(out, exchange);
    short_string(out, routing_key);
    out.push(FRAME_END);
    content_frames(out, channel, frame_max, content);
}

/// Appends a published message, as a client sends it: method, header and body frames.
pub fn publish(
    out: &mut Vec<u8>,
    channel: u16,
    frame_max: u32,
    publication: &Publication<'_>,
    content: Content<'_>,
) {
    let Publication { exchange, routing_key, mandatory } = *publication;
    reserve(out, frame_max, content);
    method_start(out, channel, 40, exchange.len() + routing_key.len() + 2 + 2 + 1);
    out.extend_from_slice(&[0; 2]);
    short_string(out, exchange);
    short_string(out, routing_key);
    out.push(mandatory.into());
    out.push(FRAME_END);
    content_frames(out, channel, frame_max, content);
}

/// Appends `basic.ack`: a client settles, a server confirms.
pub fn ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    settle(out, channel, 80, delivery_tag, multiple.into());
}

/// Appends `basic.nack`: a client refuses deliveries, a server refuses publishes (then without `requeue`).
pub fn nack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool, requeue: bool) {
    settle(out, channel, 120, delivery_tag, u8::from(multiple) | u8::from(requeue) << 1);
}

/// Appends a heartbeat.
pub fn heartbeat(out: &mut Vec<u8>) {
    push_header(out, FrameKind::Heartbeat, 0, 0);
    out.push(FRAME_END);
}

/// Appends `body` as body frames of at most `frame_max` bytes; none when it is empty.
pub fn body_frames(out: &mut Vec<u8>, channel: u16, frame_max: u32, body: &[u8]) {
    for part in body.chunks(body_frame_payload_bytes_max(frame_max)) {
        body_frame_start(out, channel, part.len() as u32);
        out.extend_from_slice(part);
        out.push(FRAME_END);
    }
}

/// Appends what stands before the payload of a body frame. The caller sends the payload and then
/// [`FRAME_END`]: large bodies need not be copied.
pub fn body_frame_start(out: &mut Vec<u8>, channel: u16, payload_bytes: u32) {
    push_header(out, FrameKind::Body, channel, payload_bytes);
}

fn content_frames(out: &mut Vec<u8>, channel: u16, frame_max: u32, content: Content<'_>) {
    encode_header_frame(out, channel, content.body.len() as u64, content.properties);
    body_frames(out, channel, frame_max, content.body);
}

fn settle(out: &mut Vec<u8>, channel: u16, method_id: u16, delivery_tag: u64, bits: u8) {
    method_start(out, channel, method_id, 9);
    out.extend_from_slice(&delivery_tag.to_be_bytes());
    out.extend_from_slice(&[bits, FRAME_END]);
}

/// Appends the frame header and the id of a method of class basic; `arguments_bytes` must follow, and the end byte.
fn method_start(out: &mut Vec<u8>, channel: u16, method_id: u16, arguments_bytes: usize) {
    push_header(out, FrameKind::Method, channel, 4 + arguments_bytes as u32);
    let [high, low] = method_id.to_be_bytes();
    out.extend_from_slice(&[0, 60, high, low]);
}

fn short_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length_bytes = u8::try_from(bytes.len()).expect("a name on the wire has at most 255 bytes");
    out.push(length_bytes);
    out.extend_from_slice(bytes);
}

/// Makes room for a whole message at once, so that `out` grows at most once for it.
fn reserve(out: &mut Vec<u8>, frame_max: u32, content: Content<'_>) {
    const METHOD_FRAME_BYTES_MAX: usize = 1024;
    const HEADER_FRAME_FIXED_BYTES: usize = 32;
    let parts = content.body.len() / body_frame_payload_bytes_max(frame_max) + 1;
    let body_bytes = content.body.len() + parts * FRAME_OVERHEAD_BYTES;
    out.reserve(METHOD_FRAME_BYTES_MAX + HEADER_FRAME_FIXED_BYTES + content.properties.len() + body_bytes);
}

fn body_frame_payload_bytes_max(frame_max: u32) -> usize {
    match frame_max {
        0 => u32::MAX as usize,
        limit => (limit as usize).saturating_sub(FRAME_OVERHEAD_BYTES).max(1),
    }
}

#[cfg(test)]
mod tests {
    use field_table::ShortString;

    use super::*;
    use crate::{ContentHeader, FrameScanner, Method, ReplyCode, basic};

    const CONTENT: Content<'static> = Content { properties: b"\x10\x00\x02", body: b"0123456789" };

    /// The method of the first frame, the header's announced size, and the bodies of what `write` appends.
    fn check_message(expected: impl Into<Method>, body_parts: &[&[u8]], write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        let mut scanner = FrameScanner::new(&out, 0);
        let mut next = || {
            let frame = scanner.next_frame().unwrap()?;
            assert_eq!(frame.channel, 5);
            Some((frame.kind, scanner.payload(&frame)))
        };
        let (kind, payload) = next().unwrap();
        assert_eq!((kind, Method::decode(payload)), (FrameKind::Method, Ok(expected.into())));
        let (kind, payload) = next().unwrap();
        assert_eq!(kind, FrameKind::Header);
        let header = ContentHeader::decode(payload).unwrap();
        assert_eq!(header.body_bytes, body_parts.concat().len() as u64);
        assert_eq!(header.properties.as_bytes(), CONTENT.properties);
        for part in body_parts {
            assert_eq!(next(), Some((FrameKind::Body, *part)));
        }
        assert_eq!(next(), None);
        assert_eq!(scanner.consumed_bytes(), out.len());
    }

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    #[test]
    fn a_delivery_is_cut_to_the_frame_size() {
        let expected = basic::Deliver {
            consumer_tag: name("c1"),
            delivery_tag: 99,
            redelivered: true,
            exchange: name("e"),
            routing_key: name("k.k"),
        };
        let delivery = Delivery {
            consumer_tag: b"c1",
            delivery_tag: 99,
            redelivered: true,
            exchange: b"e",
            routing_key: b"k.k",
        };
        let check = |frame_max, body_parts: &[&[u8]]| {
            check_message(expected.clone(), body_parts, |out| deliver(out, 5, frame_max, &delivery, CONTENT));
        };
        check(12, &[b"0123", b"4567", b"89"]);
        check(13, &[b"01234", b"56789"]);
        check(4096, &[b"0123456789"]);
        check(0, &[b"0123456789"]);
    }

    #[test]
    fn an_empty_body_has_no_frame() {
        let expected = basic::Publish { routing_key: name("q"), mandatory: true, ..Default::default() };
        let publication = Publication { exchange: b"", routing_key: b"q", mandatory: true };
        let content = Content { body: b"", ..CONTENT };
        check_message(expected, &[], |out| publish(out, 5, 4096, &publication, content));
    }

    #[test]
    fn get_and_return_carry_their_arguments() {
        let expected = basic::GetOk {
            delivery_tag: 1,
            redelivered: false,
            exchange: name("e"),
            routing_key: name("k"),
            message_count: 70_000,
        };
        let answer = GetAnswer {
            delivery_tag: 1,
            redelivered: false,
            exchange: b"e",
            routing_key: b"k",
            message_count: 70_000,
        };
        check_message(expected, &[CONTENT.body], |out| get_ok(out, 5, 4096, &answer, CONTENT));

        let expected = basic::Return {
            reply_code: 312,
            reply_text: name("NO_ROUTE"),
            exchange: name("e"),
            routing_key: name("k"),
        };
        let returned = ReturnedMessage {
            reply_code: ReplyCode::NoRoute,
            reply_text: b"NO_ROUTE",
            exchange: b"e",
            routing_key: b"k",
        };
        check_message(expected, &[CONTENT.body], |out| basic_return(out, 5, 4096, &returned, CONTENT));
    }

    #[test]
    fn settling_writes_what_the_table_says() {
        let check = |method: Method, write: fn(&mut Vec<u8>)| {
            let (mut expected, mut out) = (Vec::new(), Vec::new());
            method.encode_frame(&mut expected, 9);
            write(&mut out);
            assert_eq!(out, expected);
        };
        check(basic::Ack { delivery_tag: 3, multiple: true }.into(), |out| ack(out, 9, 3, true));
        let refused = basic::Nack { delivery_tag: 3, multiple: false, requeue: true };
        check(refused.into(), |out| nack(out, 9, 3, false, true));
        let refused = basic::Nack { delivery_tag: 4, multiple: true, requeue: false };
        check(refused.into(), |out| nack(out, 9, 4, true, false));
    }

    #[test]
    fn a_heartbeat_is_eight_bytes() {
        let mut out = Vec::new();
        heartbeat(&mut out);
        assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, FRAME_END]);
    }
}

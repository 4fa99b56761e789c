//! The cases, as a list.

use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{FrameKind, Method, basic, channel, connection, encode_frame, queue};
use anyhow::Result;
use testkit::amqp::{Endpoint, Handshake, Peer, short, transient};

use super::peer_state::{
    expect_channel_close, expect_connection_close, expect_end, expect_protocol_header, ready, ready_with,
    send_while_heard, silent,
};

/// One way to misbehave.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) play: fn(&Endpoint) -> Result<()>,
}

pub(super) const CASES: &[Case] = &[
    Case { name: "random bytes instead of a protocol header", play: random_header },
    Case { name: "AMQP 0-10", play: |endpoint| foreign_header(endpoint, b"AMQP\x01\x01\x00\x0a") },
    Case { name: "AMQP 0 0 9 2", play: |endpoint| foreign_header(endpoint, b"AMQP\x00\x00\x09\x02") },
    Case { name: "HTTP", play: |endpoint| foreign_header(endpoint, b"GET / HTTP/1.1\r\n\r\n") },
    Case {
        name: "TLS client hello",
        play: |endpoint| foreign_header(endpoint, b"\x16\x03\x01\x02\x00\x01\x00\x01"),
    },
    Case { name: "random bytes after the protocol header", play: random_after_header },
    Case { name: "random bytes on a ready connection", play: random_when_ready },
    Case { name: "tune with a frame size over the server's", play: tune_over },
    Case { name: "frame larger than agreed", play: oversized_frame },
    Case { name: "frame that announces 4 GiB", play: announced_4_gib },
    Case { name: "frame of an unknown type", play: unknown_frame_type },
    Case { name: "frame with a wrong end", play: wrong_end },
    Case { name: "heartbeat on a channel", play: heartbeat_on_channel },
    Case { name: "unknown class", play: |endpoint| unknown_method(endpoint, [0, 99, 0, 1]) },
    Case {
        name: "unknown method of a known class",
        play: |endpoint| unknown_method(endpoint, [0, 60, 3, 231]),
    },
    Case { name: "method frame of two bytes", play: |endpoint| unreadable_method(endpoint, &[0, 60]) },
    Case {
        name: "method cut off in its arguments",
        play: |endpoint| unreadable_method(endpoint, &[0, 50, 0, 10, 0]),
    },
    Case { name: "tables nested 20000 deep", play: nested_tables },
    Case { name: "table that is longer than its frame", play: lying_table },
    Case { name: "body longer than announced", play: body_too_long },
    Case { name: "body without a header", play: body_without_header },
    Case { name: "method where a header is due", play: method_for_header },
    Case { name: "header of another class", play: header_of_other_class },
    Case { name: "header that announces a body of 2^63 bytes", play: announced_body },
    Case { name: "header on a channel that is not open", play: header_on_closed_channel },
    Case { name: "method on a channel that is not open", play: method_on_closed_channel },
    Case { name: "content for a channel that the server closed", play: content_after_channel_error },
    Case { name: "connection.open twice", play: open_twice },
    Case { name: "start-ok that ends in the middle", play: half_a_handshake },
];

const PUBLICATION: Publication<'static> =
    Publication { exchange: b"", routing_key: b"abuse", mandatory: false };

fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(&mut out, kind, channel, |out| out.extend_from_slice(payload));
    out
}

/// A content header of class 60 without properties.
fn header(class_id: u8, body_bytes: u64) -> Vec<u8> {
    let mut payload = vec![0, class_id, 0, 0];
    payload.extend_from_slice(&body_bytes.to_be_bytes());
    payload.extend_from_slice(&[0, 0]);
    payload
}

/// The method frame alone of a publish.
fn publish_method() -> Vec<u8> {
    let publish = basic::Publish { routing_key: short("abuse"), ..Default::default() };
    let mut out = Vec::new();
    Method::from(publish).encode_frame(&mut out, 1);
    out
}

fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn random_header(endpoint: &Endpoint) -> Result<()> {
    for seed in 0..20 {
        let mut peer = silent(endpoint)?;
        send_while_heard(&mut peer, &noise(seed, 8))?;
        expect_protocol_header(peer)?;
    }
    Ok(())
}

fn foreign_header(endpoint: &Endpoint, bytes: &[u8]) -> Result<()> {
    let mut peer = silent(endpoint)?;
    // Exactly eight bytes: unread ones would turn the end of the connection into a reset, which may swallow the answer.
    send_while_heard(&mut peer, &bytes[..8])?;
    expect_protocol_header(peer)
}

fn random_after_header(endpoint: &Endpoint) -> Result<()> {
    let mut peer = silent(endpoint)?;
    peer.send_raw(b"AMQP\x00\x00\x09\x01")?;
    let _: connection::Start = peer.expect(0)?;
    send_while_heard(&mut peer, &noise(1, 4096))?;
    expect_end(peer)
}

fn random_when_ready(endpoint: &Endpoint) -> Result<()> {
    // Few, because servers keep such connections for 3 s.
    for seed in 0..3 {
        let mut peer = ready(endpoint)?;
        send_while_heard(&mut peer, &noise(seed, 10_000))?;
        expect_end(peer)?;
    }
    Ok(())
}

/// RabbitMQ closes with this text too, but 3.10 resets the connection before a client can read it.
fn tune_over(endpoint: &Endpoint) -> Result<()> {
    let mut peer = silent(endpoint)?;
    peer.send_raw(b"AMQP\x00\x00\x09\x01")?;
    let _: connection::Start = peer.expect(0)?;
    peer.send(0, Handshake::default().start_ok(endpoint))?;
    let tune: connection::Tune = peer.expect(0)?;
    let frame_max = tune.frame_max + 1;
    peer.send(0, connection::TuneOk { channel_max: tune.channel_max, frame_max, heartbeat: 0 })?;
    expect_connection_close(peer, 530, "NOT_ALLOWED - negotiated frame_max = ")
}

fn oversized_frame(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready_with(endpoint, &Handshake { frame_max: 4096, ..Handshake::default() })?;
    let mut bytes = publish_method();
    bytes.extend(frame(FrameKind::Header, 1, &header(60, 10_000)));
    bytes.extend(frame(FrameKind::Body, 1, &vec![0; 4096 + 1]));
    send_while_heard(&mut peer, &bytes)?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn announced_4_gib(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    send_while_heard(&mut peer, &[3, 0, 1, 0xff, 0xff, 0xff, 0xff])?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn unknown_frame_type(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    send_while_heard(&mut peer, &[9, 0, 1, 0, 0, 0, 1, 0, 0xce])?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn wrong_end(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    let mut bytes = publish_method();
    *bytes.last_mut().unwrap_or(&mut 0) = 0xcd;
    send_while_heard(&mut peer, &bytes)?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn heartbeat_on_channel(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&frame(FrameKind::Heartbeat, 1, b""))?;
    expect_connection_close(peer, 505, "UNEXPECTED_FRAME - ")
}

/// RabbitMQ's reader crashes at this and drops the connection without a word; Forebay says why.
fn unknown_method(endpoint: &Endpoint, id: [u8; 4]) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&frame(FrameKind::Method, 1, &id))?;
    expect_connection_close(peer, 503, "COMMAND_INVALID - ")
}

/// As [`unknown_method`]: RabbitMQ closes with 501 or drops the connection, depending on where its parser fails.
fn unreadable_method(endpoint: &Endpoint, payload: &[u8]) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&frame(FrameKind::Method, 1, payload))?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

/// RabbitMQ reads tables as deep as a frame has room for. Forebay stops at a fixed depth, so that nobody's stack or
/// time is at the mercy of a stranger.
fn nested_tables(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    let mut entries: Vec<u8> = Vec::new();
    // The innermost comes first; each level is a key of no bytes, the letter F and a length.
    const DEPTH: usize = 20_000;
    for level in 0..DEPTH {
        let inner_bytes = (level * 6) as u32;
        entries.push(0);
        entries.push(b'F');
        entries.extend_from_slice(&((DEPTH as u32 - 1) * 6 - inner_bytes).to_be_bytes());
    }
    let mut payload = vec![0, 50, 0, 10, 0, 0, 0, 0];
    payload.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    payload.extend_from_slice(&entries);
    send_while_heard(&mut peer, &frame(FrameKind::Method, 1, &payload))?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn lying_table(endpoint: &Endpoint) -> Result<()> {
    // queue.declare with a table that announces a gigabyte.
    unreadable_method(endpoint, &[0, 50, 0, 10, 0, 0, 0, 0, 0x40, 0, 0, 0])
}

/// RabbitMQ 3.10 does not notice; newer ones and Forebay do.
fn body_too_long(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    let mut bytes = publish_method();
    bytes.extend(frame(FrameKind::Header, 1, &header(60, 3)));
    bytes.extend(frame(FrameKind::Body, 1, b"four"));
    peer.send_raw(&bytes)?;
    expect_connection_close(peer, 501, "FRAME_ERROR - content body frame exceeds remaining content size")
}

fn body_without_header(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&publish_method())?;
    peer.send_raw(&frame(FrameKind::Body, 1, b"x"))?;
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    expect_connection_close(peer, 505, text)
}

fn method_for_header(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&publish_method())?;
    peer.send(1, queue::Declare { queue: short("abuse"), ..Default::default() })?;
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    expect_connection_close(peer, 505, text)
}

fn header_of_other_class(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&publish_method())?;
    peer.send_raw(&frame(FrameKind::Header, 1, &header(50, 0)))?;
    expect_connection_close(peer, 505, "UNEXPECTED_FRAME - ")
}

/// RabbitMQ 3.10 waits for such a body; newer ones and Forebay know a largest message.
fn announced_body(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&publish_method())?;
    peer.send_raw(&frame(FrameKind::Header, 1, &header(60, 1 << 63)))?;
    expect_connection_close(peer, 501, "FRAME_ERROR - ")
}

fn header_on_closed_channel(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send_raw(&frame(FrameKind::Header, 5, &header(60, 1)))?;
    expect_connection_close(
        peer,
        505,
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    )
}

fn method_on_closed_channel(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send(5, queue::Declare { queue: short("abuse"), ..Default::default() })?;
    expect_connection_close(peer, 504, "CHANNEL_ERROR - expected 'channel.open'")
}

/// After a channel error the client may not know yet and goes on: all of it is ignored until its close-ok.
fn content_after_channel_error(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    let mut bytes = Vec::new();
    let nowhere = Publication { exchange: b"abuse.nowhere", ..PUBLICATION };
    for publication in [&nowhere, &PUBLICATION, &nowhere] {
        let content = Content { properties: &transient(), body: b"body" };
        hot::publish(&mut bytes, 1, peer.frame_max(), publication, content);
    }
    peer.send_raw(&bytes)?;
    expect_channel_close(&mut peer, 404, "NOT_FOUND - no exchange 'abuse.nowhere' in vhost '/'")?;
    peer.send(1, channel::CloseOk {})?;
    peer.open_channel(1)?;
    let connection::CloseOk {} = peer.call(0, connection::Close { reply_code: 200, ..Default::default() })?;
    Ok(())
}

fn open_twice(endpoint: &Endpoint) -> Result<()> {
    let mut peer = ready(endpoint)?;
    peer.send(0, connection::Open { virtual_host: short("/") })?;
    expect_connection_close(peer, 504, "CHANNEL_ERROR - ")
}

fn half_a_handshake(endpoint: &Endpoint) -> Result<()> {
    let mut peer: Peer = silent(endpoint)?;
    peer.send_raw(b"AMQP\x00\x00\x09\x01")?;
    let _: connection::Start = peer.expect(0)?;
    let start_ok = connection::StartOk { mechanism: short("PLAIN"), ..Default::default() };
    let mut bytes = Vec::new();
    Method::from(start_ok).encode_frame(&mut bytes, 0);
    peer.send_raw(&bytes[..bytes.len() / 2])?;
    // Half a frame, then silence: the server gives up when its limit for handshakes is over, not before, and others
    // do not notice. Leaving is all that a client can do; the bystander shows the rest.
    drop(peer);
    Ok(())
}

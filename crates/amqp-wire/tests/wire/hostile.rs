//! Bytes that nobody should send.

use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{FrameKind, encode_frame};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::exercise::exercise;
use crate::sample::{Taste, method_payload, properties};

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
    }

    #[test]
    fn whole_conversations_are_read(payloads in vec(method_payload(Taste::Any), 1..6), channel: u16) {
        exercise(&method_frames(&payloads, channel));
    }

    #[test]
    fn damaged_conversations_are_read_or_refused(
        payloads in vec(method_payload(Taste::Any), 1..4),
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = method_frames(&payloads, 1);
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        exercise(&bytes);
    }

    #[test]
    fn damaged_payloads_are_read_or_refused(
        mut payload in method_payload(Taste::Any),
        at in any::<usize>(),
        byte in any::<u8>(),
    ) {
        let at = at % payload.len();
        payload[at] = byte;
        exercise(&payload);
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
        properties in properties(Taste::Any),
        body in vec(any::<u8>(), 0..50),
        at in any::<usize>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        let publication = Publication { exchange: b"e", routing_key: b"k", mandatory: false };
        let content = Content { properties: &properties.to_bytes(), body: &body };
        hot::publish(&mut bytes, 1, 4096, &publication, content);
        exercise(&bytes);
        let at = at % bytes.len();
        bytes[at] = byte;
        exercise(&bytes);
    }
}

fn method_frames(payloads: &[Vec<u8>], channel: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        encode_frame(&mut bytes, FrameKind::Method, channel, |out| out.extend_from_slice(payload));
    }
    bytes
}

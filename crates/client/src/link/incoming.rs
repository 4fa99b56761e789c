//! From bytes to methods with their messages.

use std::collections::HashMap;

use amqp_wire::{ContentHeader, FrameKind, Method, Properties, next_frame};
use bytes::{Buf, Bytes, BytesMut};

use super::Violation;

/// One method of the broker, with its message if it carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it came; 0 is the connection itself.
    pub channel: u16,
    /// The method.
    pub method: Method,
    /// Properties and body; empty for methods that carry no message.
    pub content: Content,
}

/// A message as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its properties.
    pub properties: Properties,
    /// Its whole body.
    pub body: Bytes,
}

/// Puts frames together: a message comes in parts, and other channels may speak in between.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    unfinished: HashMap<u16, Unfinished>,
}

/// A method whose message has not come whole.
#[derive(Debug)]
struct Unfinished {
    method: Method,
    /// `None` before the header frame.
    properties: Option<Properties>,
    body: BytesMut,
    body_bytes: u64,
}

/// What the read buffer had to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Something whole.
    Whole(Box<Incoming>),
    /// A frame that completes nothing.
    Part,
}

/// The broker's own bound for a message; more than this is a broken peer.
const BODY_BYTES_MAX: u64 = 512 << 20;
/// What is reserved for a body before its first bytes came: an announcement alone costs no memory.
const BODY_RESERVE_BYTES_MAX: u64 = 128 << 10;

impl Assembler {
    /// Takes the next frame off `input`; `None` when there is no whole one.
    pub(super) fn next(&mut self, input: &mut BytesMut, frame_max: u32) -> Result<Option<Piece>, Violation> {
        let Some(frame) = next_frame(input, 0, frame_max)? else { return Ok(None) };
        let (kind, channel) = (frame.kind, frame.channel);
        let payload = &input[frame.payload.clone()];
        let whole = match kind {
            FrameKind::Heartbeat => None,
            FrameKind::Method => self.method(channel, payload)?,
            FrameKind::Header => self.header(channel, payload)?,
            FrameKind::Body => self.body(channel, payload)?,
        };
        input.advance(frame.end());
        Ok(Some(whole.map_or(Piece::Part, |incoming| Piece::Whole(Box::new(incoming)))))
    }

    fn method(&mut self, channel: u16, payload: &[u8]) -> Result<Option<Incoming>, Violation> {
        let method = Method::decode(payload)?;
        // A channel that is closed in the middle of a message leaves the message unfinished for ever.
        self.unfinished.remove(&channel);
        if !method.carries_content() {
            return Ok(Some(Incoming { channel, method, content: Content::default() }));
        }
        let unfinished = Unfinished { method, properties: None, body: BytesMut::new(), body_bytes: 0 };
        self.unfinished.insert(channel, unfinished);
        Ok(None)
    }

    fn header(&mut self, channel: u16, payload: &[u8]) -> Result<Option<Incoming>, Violation> {
        let header = ContentHeader::decode(payload)?;
        if header.body_bytes > BODY_BYTES_MAX {
            let (body_bytes, limit_bytes) = (header.body_bytes, BODY_BYTES_MAX);
            return Err(Violation::MessageTooLarge { body_bytes, limit_bytes });
        }
        let properties = Properties::decode(header.properties.as_bytes())
            .map_err(|_| Violation::Unexpected { method: "damaged properties", channel })?;
        let unfinished = self
            .unfinished
            .get_mut(&channel)
            .filter(|unfinished| unfinished.properties.is_none())
            .ok_or(Violation::Unexpected { method: "a content header", channel })?;
        unfinished.properties = Some(properties);
        unfinished.body_bytes = header.body_bytes;
        unfinished.body.reserve(header.body_bytes.min(BODY_RESERVE_BYTES_MAX) as usize);
        Ok(self.take_if_whole(channel))
    }

    fn body(&mut self, channel: u16, payload: &[u8]) -> Result<Option<Incoming>, Violation> {
        let stray = Violation::Unexpected { method: "a content body", channel };
        let Some(unfinished) = self.unfinished.get_mut(&channel) else { return Err(stray) };
        if (unfinished.body.len() + payload.len()) as u64 > unfinished.body_bytes {
            return Err(stray);
        }
        unfinished.body.extend_from_slice(payload);
        Ok(self.take_if_whole(channel))
    }

    fn take_if_whole(&mut self, channel: u16) -> Option<Incoming> {
        let unfinished = self.unfinished.get(&channel)?;
        if unfinished.properties.is_none() || (unfinished.body.len() as u64) < unfinished.body_bytes {
            return None;
        }
        let Unfinished { method, properties, body, .. } = self.unfinished.remove(&channel)?;
        let content = Content { properties: properties?, body: body.freeze() };
        Some(Incoming { channel, method, content })
    }
}

#[cfg(test)]
mod tests {
    use amqp_wire::{basic, channel, hot};

    use super::*;

    fn delivery(channel: u16, frame_max: u32, body: &[u8]) -> Vec<u8> {
        let delivery = hot::Delivery {
            consumer_tag: b"c",
            delivery_tag: 7,
            redelivered: false,
            exchange: b"",
            routing_key: b"q",
        };
        let mut out = Vec::new();
        hot::deliver(&mut out, channel, frame_max, &delivery, hot::Content { properties: &[0, 0], body });
        out
    }

    fn all(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let (mut input, mut assembler, mut found) = (BytesMut::from(bytes), Assembler::default(), Vec::new());
        while let Some(piece) = assembler.next(&mut input, 0)? {
            if let Piece::Whole(incoming) = piece {
                found.push(*incoming);
            }
        }
        Ok(found)
    }

    #[test]
    fn a_message_in_parts_is_whole_while_other_channels_speak() {
        let parts = delivery(1, 12, b"0123456789");
        let mut bytes = parts[..parts.len() - 10].to_vec();
        Method::from(channel::CloseOk {}).encode_frame(&mut bytes, 2);
        bytes.extend_from_slice(&parts[parts.len() - 10..]);
        let found = all(&bytes).unwrap();
        assert_eq!(found[0].method.name(), "channel.close-ok");
        assert_eq!((found[1].channel, &found[1].content.body[..]), (1, b"0123456789".as_slice()));
    }

    #[test]
    fn an_empty_body_needs_no_frame() {
        let found = all(&delivery(1, 0, b"")).unwrap();
        assert!(matches!(found[0].method, Method::Basic(basic::Method::Deliver(_))));
    }

    #[test]
    fn a_body_without_a_method_is_a_violation() {
        let mut bytes = Vec::new();
        hot::body_frames(&mut bytes, 1, 0, b"x");
        assert!(matches!(all(&bytes), Err(Violation::Unexpected { channel: 1, .. })));
    }

    #[test]
    fn a_channel_closed_within_a_message_forgets_the_message() {
        let parts = delivery(1, 12, b"0123456789");
        let mut bytes = parts[..parts.len() - 10].to_vec();
        Method::from(channel::Close::default()).encode_frame(&mut bytes, 1);
        bytes.extend_from_slice(&delivery(1, 0, b"next"));
        let found = all(&bytes).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(&found[1].content.body[..], b"next");
    }
}

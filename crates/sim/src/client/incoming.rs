//! What a client reads: frames put together to methods and messages.

use amqp_wire::{ContentHeader, FrameKind, FrameScanner, Method, Properties};
use bytes::BytesMut;

use crate::violation::Violation;

/// One thing that a client has read.
#[derive(Debug)]
pub enum Incoming {
    /// A method without content.
    Method(u16, Method),
    /// A method with its message.
    Message(u16, Box<Content>),
}

/// A method with its message.
#[derive(Debug)]
pub struct Content {
    /// The method.
    pub method: Method,
    /// The message's properties.
    pub properties: Properties,
    /// Its body.
    pub body: Vec<u8>,
}

/// Bytes that are not yet a whole method or message. The server sends a message without anything between its frames
/// on that channel; the simulation's clients do not ask for more than that.
#[derive(Debug, Default)]
pub struct Assembly {
    input: BytesMut,
    half: Option<(u16, Box<Content>, usize)>,
}

impl Assembly {
    /// Takes bytes; what they make whole is added to `out`.
    pub fn take(&mut self, bytes: &[u8], out: &mut Vec<Incoming>) -> Result<(), Violation> {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut scanner = FrameScanner::new(&input, 0);
        loop {
            let frame = scanner.next_frame().map_err(|error| wrong(&error))?;
            let Some(frame) = frame else { break };
            let payload = scanner.payload(&frame);
            match frame.kind {
                FrameKind::Heartbeat => {}
                FrameKind::Method => {
                    let method = Method::decode(payload).map_err(|error| wrong(&error))?;
                    self.method(frame.channel, method, out)?;
                }
                FrameKind::Header => {
                    let header = ContentHeader::decode(payload).map_err(|error| wrong(&error))?;
                    let properties =
                        Properties::decode(header.properties.as_bytes()).map_err(|error| wrong(&error))?;
                    let Some((_, content, left)) = &mut self.half else {
                        return Err(wrong(&"a header alone"));
                    };
                    content.properties = properties;
                    *left = header.body_bytes as usize;
                    self.finish(out);
                }
                FrameKind::Body => {
                    let Some((_, content, left)) = &mut self.half else { return Err(wrong(&"a body alone")) };
                    content.body.extend_from_slice(payload);
                    *left =
                        left.checked_sub(payload.len()).ok_or_else(|| wrong(&"a body that is too long"))?;
                    self.finish(out);
                }
            }
        }
        let consumed = scanner.consumed_bytes();
        self.input = BytesMut::from(&input[consumed..]);
        Ok(())
    }

    fn method(&mut self, channel: u16, method: Method, out: &mut Vec<Incoming>) -> Result<(), Violation> {
        if self.half.is_some() {
            return Err(wrong(&"a method in the middle of a message"));
        }
        if method.carries_content() {
            let content = Content { method, properties: Properties::default(), body: Vec::new() };
            self.half = Some((channel, Box::new(content), usize::MAX));
        } else {
            out.push(Incoming::Method(channel, method));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Incoming>) {
        if let Some((channel, content, _)) = self.half.take_if(|(_, _, left)| *left == 0) {
            out.push(Incoming::Message(channel, content));
        }
    }
}

fn wrong(what: &dyn std::fmt::Display) -> Violation {
    Violation::new("P10", format!("the server has sent what is no AMQP: {what}"))
}

//! What is to be sent.

use amqp_wire::{Method, hot};

use super::Publication;

/// Bytes that wait for the socket. While there is no connection, what is written is dropped: whoever needs it writes
/// it again when the next connection is up.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    written_bytes: usize,
    frame_max: u32,
    online: bool,
}

/// Above this, no further commands are taken until the socket has taken some.
const WAITING_BYTES_MAX: usize = 4 << 20;

impl Output {
    /// Appends a method.
    pub fn method(&mut self, channel: u16, method: impl Into<Method>) {
        if self.online {
            method.into().encode_frame(&mut self.bytes, channel);
        }
    }

    /// Appends a message.
    pub fn publish(&mut self, channel: u16, publication: &Publication) {
        if self.online {
            let Publication { properties, body, mandatory, .. } = publication;
            let names = hot::Publication {
                exchange: &publication.exchange,
                routing_key: &publication.routing_key,
                mandatory: *mandatory,
            };
            let content = hot::Content { properties, body };
            hot::publish(&mut self.bytes, channel, self.frame_max, &names, content);
        }
    }

    /// Appends `basic.ack` for one delivery.
    pub fn ack(&mut self, channel: u16, delivery_tag: u64) {
        if self.online {
            hot::ack(&mut self.bytes, channel, delivery_tag, false);
        }
    }

    /// Appends `basic.nack` for one delivery.
    pub fn nack(&mut self, channel: u16, delivery_tag: u64, requeue: bool) {
        if self.online {
            hot::nack(&mut self.bytes, channel, delivery_tag, false, requeue);
        }
    }

    /// A connection is up.
    pub(super) fn open(&mut self, frame_max: u32) {
        *self = Self { frame_max, online: true, ..Self::default() };
    }

    /// The connection is gone, and what it had not sent with it.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    pub(super) fn heartbeat(&mut self) {
        if self.online {
            hot::heartbeat(&mut self.bytes);
        }
    }

    /// What the socket has not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written_bytes..]
    }

    /// Whether so much waits that nothing should be added for now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting().len() >= WAITING_BYTES_MAX
    }

    /// The socket took this many bytes.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.written_bytes += bytes;
        if self.written_bytes == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(WAITING_BYTES_MAX);
            self.written_bytes = 0;
        } else if self.written_bytes > WAITING_BYTES_MAX {
            self.bytes.drain(..self.written_bytes);
            self.written_bytes = 0;
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Output {
    /// One that is up, for tests of state machines without a socket.
    pub fn online() -> Self {
        Self { frame_max: 131_072, online: true, ..Self::default() }
    }

    /// Takes what was written, as methods with their channels.
    ///
    /// # Panics
    /// When it is not whole frames.
    pub fn drain(&mut self) -> Vec<super::Incoming> {
        let mut input = bytes::BytesMut::from(self.waiting());
        let (mut assembler, mut found) = (super::incoming::Assembler::default(), Vec::new());
        while let Some(piece) = assembler.next(&mut input, 0).expect("whole frames") {
            if let super::incoming::Piece::Whole(incoming) = piece {
                found.push(*incoming);
            }
        }
        assert!(input.is_empty(), "only whole frames are written");
        self.taken(self.waiting().len());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp_wire::channel;

    #[test]
    fn without_a_connection_nothing_is_kept() {
        let mut output = Output::default();
        output.method(1, channel::Open {});
        output.ack(1, 1);
        assert!(output.waiting().is_empty());
    }

    #[test]
    fn a_part_that_was_taken_is_not_sent_again() {
        let mut output = Output::online();
        output.ack(1, 1);
        let all = output.waiting().to_vec();
        output.taken(3);
        assert_eq!(output.waiting(), &all[3..]);
        output.taken(all.len() - 3);
        assert!(output.waiting().is_empty());
    }
}

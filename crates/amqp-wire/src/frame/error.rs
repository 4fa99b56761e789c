//! What can be wrong with a frame, in RabbitMQ's words.

use std::fmt;

use crate::ErlangBinary;

/// Bytes that are not a frame, or not an allowed one. Closes the connection with 501.
///
/// The texts are those of `rabbit_reader` in rabbitmq-server, to be put behind `FRAME_ERROR - `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced payload is larger than agreed.
    #[error("type {kind}, all octets = <<>>: {{frame_too_large,{payload_bytes},{limit_bytes}}}")]
    TooLarge {
        /// The frame's type number, not checked yet.
        kind: u8,
        /// The frame's channel.
        channel: u16,
        /// The announced size.
        payload_bytes: u32,
        /// What the agreed frame size leaves for a payload. The tolerance of eight bytes is not in it.
        limit_bytes: u32,
    },
    /// The byte after the payload is not [`FRAME_END`](crate::FRAME_END).
    #[error("type {kind}, {snippet}: {{invalid_frame_end_marker,{byte}}}")]
    BadEndMarker {
        /// The frame's type number.
        kind: u8,
        /// The frame's channel.
        channel: u16,
        /// The byte found instead.
        byte: u8,
        /// How the payload begins.
        snippet: PayloadSnippet,
    },
    /// A type number other than 1, 2, 3 and 8.
    #[error("type {kind}, all octets = <<>>: unknown_frame")]
    UnknownKind {
        /// The type number.
        kind: u8,
        /// The frame's channel.
        channel: u16,
    },
}

impl FrameError {
    /// The channel that the frame named.
    pub fn channel(&self) -> u16 {
        match self {
            Self::TooLarge { channel, .. }
            | Self::BadEndMarker { channel, .. }
            | Self::UnknownKind { channel, .. } => *channel,
        }
    }
}

/// The first 16 bytes of a payload, kept for an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadSnippet {
    bytes: [u8; Self::BYTES_MAX],
    length: usize,
    is_whole: bool,
}

impl PayloadSnippet {
    /// As many bytes as RabbitMQ shows.
    pub const BYTES_MAX: usize = 16;

    /// Copies the front of `payload`.
    pub fn of(payload: &[u8]) -> Self {
        let length = payload.len().min(Self::BYTES_MAX);
        let mut bytes = [0; Self::BYTES_MAX];
        bytes[..length].copy_from_slice(&payload[..length]);
        Self { bytes, length, is_whole: payload.len() <= Self::BYTES_MAX }
    }
}

impl fmt::Display for PayloadSnippet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = if self.is_whole { "all" } else { "first 16" };
        write!(formatter, "{share} octets = {}", ErlangBinary(&self.bytes[..self.length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_rabbitmqs() {
        let too_large =
            FrameError::TooLarge { kind: 3, channel: 1, payload_bytes: 131_073, limit_bytes: 131_064 };
        assert_eq!(too_large.to_string(), "type 3, all octets = <<>>: {frame_too_large,131073,131064}");

        let snippet = PayloadSnippet::of(&[0; 17]);
        let bad_end = FrameError::BadEndMarker { kind: 1, channel: 0, byte: 7, snippet };
        let zeros = ["0"; 16].join(",");
        assert_eq!(
            bad_end.to_string(),
            format!("type 1, first 16 octets = <<{zeros}>>: {{invalid_frame_end_marker,7}}")
        );
    }
}

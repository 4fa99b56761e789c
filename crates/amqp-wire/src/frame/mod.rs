//! Frames: `kind:u8 channel:u16 size:u32 payload 0xCE`.

mod error;
mod scanner;

use std::ops::Range;

pub use error::{FrameError, PayloadSnippet};
pub use scanner::FrameScanner;

/// The byte that ends each frame.
pub const FRAME_END: u8 = 0xce;

/// What a frame takes beside its payload: seven bytes in front and one behind.
pub const FRAME_OVERHEAD_BYTES: usize = 8;

/// The frame size in bytes that holds before the peers have agreed on one.
///
/// RabbitMQ's `initial_frame_max` since 4.1: a `start-ok` with a long token has to fit.
pub const FRAME_MAX_BEFORE_TUNE: u32 = 8192;

const HEADER_BYTES: usize = 7;

/// By how many bytes a payload may exceed what the agreed frame size leaves for it.
///
/// Some clients forget the overhead of a frame; RabbitMQ lets them (its `FRAME_SIZE_FUDGE`), so we do.
const OVERSIZE_TOLERANCE_BYTES: u32 = 8;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A method and its arguments.
    Method = 1,
    /// The content header of a message.
    Header = 2,
    /// A part of a message's body.
    Body = 3,
    /// A sign of life; empty, and only on channel 0.
    Heartbeat = 8,
}

impl FrameKind {
    /// The kind with this number, if there is one.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Method),
            2 => Some(Self::Header),
            3 => Some(Self::Body),
            8 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// A whole frame within the bytes that were searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: FrameKind,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// Where the payload lies, counted from the start of the searched bytes.
    pub payload: Range<usize>,
}

impl Frame {
    /// Where the next frame begins: behind the payload and the end byte.
    pub fn end(&self) -> usize {
        self.payload.end + 1
    }
}

/// Finds the frame that starts at `offset` in `input`.
///
/// `None` means that the frame is not whole yet. `frame_max` is the agreed size of whole frames in bytes, 0 for no
/// limit; eight bytes over it are tolerated. Neither copies nor allocates; looks at eight bytes only.
///
/// # Errors
/// When the kind is unknown or the size too large (both as soon as the frame's first seven bytes are there), or when
/// the end byte is wrong. Nothing after such a frame can be trusted: the caller stops reading.
///
/// # Panics
/// When `offset` is greater than `input.len()`.
#[inline]
pub fn next_frame(input: &[u8], offset: usize, frame_max: u32) -> Result<Option<Frame>, FrameError> {
    match good_frame(input, offset, frame_max) {
        Some(frame) => Ok(Some(frame)),
        None => no_good_frame(input, offset, frame_max),
    }
}

/// The frame, if it is whole and nothing is wrong with it. Apart, so that what is done for each frame moves no error around.
#[inline]
fn good_frame(input: &[u8], offset: usize, frame_max: u32) -> Option<Frame> {
    let (header, rest) = input[offset..].split_first_chunk::<HEADER_BYTES>()?;
    let [number, channel_high, channel_low, size @ ..] = *header;
    let payload_bytes = u32::from_be_bytes(size);
    let is_good =
        rest.get(payload_bytes as usize) == Some(&FRAME_END) && is_size_allowed(payload_bytes, frame_max);
    let kind = FrameKind::from_number(number).filter(|_| is_good)?;
    let channel = u16::from_be_bytes([channel_high, channel_low]);
    let start = offset + HEADER_BYTES;
    Some(Frame { kind, channel, payload: start..start + payload_bytes as usize })
}

/// Why there is no good frame: it is not whole, or something is wrong with it.
#[cold]
fn no_good_frame(input: &[u8], offset: usize, frame_max: u32) -> Result<Option<Frame>, FrameError> {
    let Some((header, rest)) = input[offset..].split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [kind, channel_high, channel_low, size @ ..] = *header;
    let channel = u16::from_be_bytes([channel_high, channel_low]);
    let payload_bytes = u32::from_be_bytes(size);
    if !is_size_allowed(payload_bytes, frame_max) {
        let limit_bytes = payload_limit(frame_max);
        return Err(FrameError::TooLarge { kind, channel, payload_bytes, limit_bytes });
    }
    if FrameKind::from_number(kind).is_none() {
        return Err(FrameError::UnknownKind { kind, channel });
    }
    match rest.get(payload_bytes as usize) {
        None => Ok(None),
        Some(&byte) => {
            let snippet = PayloadSnippet::of(&rest[..payload_bytes as usize]);
            Err(FrameError::BadEndMarker { kind, channel, byte, snippet })
        }
    }
}

/// How long the frame at the start of `input` says it is, overhead included; `None` below seven bytes.
///
/// For choosing the size of the next read. Check the bytes with [`next_frame`] first: it refuses sizes over the limit.
pub fn announced_frame_bytes(input: &[u8]) -> Option<usize> {
    let [_, _, _, size @ ..] = *input.first_chunk::<HEADER_BYTES>()?;
    Some(u32::from_be_bytes(size) as usize + FRAME_OVERHEAD_BYTES)
}

/// Appends a whole frame. `write` appends the payload, whose size is filled in afterwards.
///
/// # Panics
/// When the payload is 4 GiB or more: callers cut bodies to the agreed frame size.
pub fn encode_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, write: impl FnOnce(&mut Vec<u8>)) {
    push_header(out, kind, channel, 0);
    let payload_start = out.len();
    write(out);
    let payload_bytes =
        u32::try_from(out.len() - payload_start).expect("a frame payload is smaller than 4 GiB");
    out[payload_start - 4..payload_start].copy_from_slice(&payload_bytes.to_be_bytes());
    out.push(FRAME_END);
}

pub(crate) fn push_header(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload_bytes: u32) {
    let [channel_high, channel_low] = channel.to_be_bytes();
    let [a, b, c, d] = payload_bytes.to_be_bytes();
    out.extend_from_slice(&[kind as u8, channel_high, channel_low, a, b, c, d]);
}

/// What the agreed frame size leaves for a payload, in bytes.
fn payload_limit(frame_max: u32) -> u32 {
    frame_max.saturating_sub(FRAME_OVERHEAD_BYTES as u32)
}

#[inline]
fn is_size_allowed(payload_bytes: u32, frame_max: u32) -> bool {
    frame_max == 0 || payload_bytes <= payload_limit(frame_max).saturating_add(OVERSIZE_TOLERANCE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_frame(&mut out, kind, channel, |out| out.extend_from_slice(payload));
        out
    }

    #[test]
    fn is_not_whole_before_its_last_byte() {
        let bytes = frame(FrameKind::Body, 258, b"abc");
        for length in 0..bytes.len() {
            assert_eq!(next_frame(&bytes[..length], 0, 0), Ok(None), "{length} bytes");
        }
        let whole = next_frame(&bytes, 0, 0).unwrap().unwrap();
        assert_eq!(whole, Frame { kind: FrameKind::Body, channel: 258, payload: 7..10 });
        assert_eq!(whole.end(), bytes.len());
        assert_eq!(announced_frame_bytes(&bytes), Some(bytes.len()));
        assert_eq!(announced_frame_bytes(&bytes[..6]), None);
    }

    #[test]
    fn eight_bytes_too_many_are_tolerated_and_nine_are_not() {
        let header = |payload_bytes| {
            let mut out = Vec::new();
            push_header(&mut out, FrameKind::Body, 1, payload_bytes);
            out
        };
        assert_eq!(next_frame(&header(4096), 0, 4096), Ok(None));
        let expected = FrameError::TooLarge { kind: 3, channel: 1, payload_bytes: 4097, limit_bytes: 4088 };
        assert_eq!(next_frame(&header(4097), 0, 4096), Err(expected));
        assert_eq!(next_frame(&header(u32::MAX), 0, 0), Ok(None));
    }

    #[test]
    fn a_wrong_end_is_an_error() {
        let mut bytes = frame(FrameKind::Method, 1, b"abcd");
        *bytes.last_mut().unwrap() = 0xcd;
        let snippet = PayloadSnippet::of(b"abcd");
        let expected = FrameError::BadEndMarker { kind: 1, channel: 1, byte: 0xcd, snippet };
        assert_eq!(next_frame(&bytes, 0, 0), Err(expected));
    }

    #[test]
    fn an_unknown_kind_is_an_error_before_its_payload_arrives() {
        let expected = FrameError::UnknownKind { kind: 4, channel: 1 };
        assert_eq!(next_frame(&[4, 0, 1, 0, 0, 0, 9], 0, 4096), Err(expected));
    }
}

//! A published message where it was read.

use amqp_wire::hot::HotMethod;
use amqp_wire::{ContentHeader, FRAME_END, Frame, FrameKind, FrameScanner, PropertiesView};
use anyhow::{Result, bail};

/// A whole message: the frames of a publish and what they say. Everything lies in the read buffer.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) channel: u16,
    /// All its frames.
    pub(super) frames: &'a [u8],
    pub(super) exchange: &'a [u8],
    pub(super) routing_key: &'a [u8],
    /// The encoded properties, flags first.
    pub(super) properties: &'a [u8],
    pub(super) is_persistent: bool,
    pub(super) body_bytes: u64,
    /// The frames of the body.
    body_frames: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message at the front of `input`; `None` when there is none, not a whole one, or a damaged one.
    ///
    /// Reads the frames itself: with the general way, whose results are large for the sake of good errors, half of the
    /// time of a small message would go into moving them. What it does not take goes that way, see [`Self::check`].
    #[inline]
    pub(super) fn read(input: &'a [u8]) -> Option<Self> {
        let channel = u16::from_be_bytes([*input.get(1)?, *input.get(2)?]);
        let (publish, after_publish) = split_frame(input, FrameKind::Method, channel)?;
        let [0, 60, 0, 40, _, _, names @ ..] = publish else { return None };
        let (exchange, rest) = split_short_string(names)?;
        let (routing_key, [_bits]) = split_short_string(rest)? else { return None };
        let (header, after_header) = split_frame(after_publish, FrameKind::Header, channel)?;
        let ([_, _, _, _, body_bytes @ ..], properties) = header.split_first_chunk::<12>()?;
        let body_bytes = u64::from_be_bytes(*body_bytes);
        let (mut read_bytes, mut after_body) = (0, after_header);
        while read_bytes < body_bytes {
            let (part, rest) = split_frame(after_body, FrameKind::Body, channel)?;
            read_bytes += part.len() as u64;
            after_body = rest;
        }
        Some(Self {
            channel,
            frames: &input[..input.len() - after_body.len()],
            exchange,
            routing_key,
            properties,
            is_persistent: PropertiesView::from_checked(properties).is_persistent(),
            body_bytes,
            body_frames: &after_header[..after_header.len() - after_body.len()],
        })
    }

    /// Whether this method frame, the scanner's last, starts a message. That [`Self::read`] did not take it must be
    /// because the rest is still to come.
    ///
    /// # Errors
    /// When it is not so. A message whose frames are mixed with others is refused: it would not lie in one piece.
    pub(super) fn check(scanner: &mut FrameScanner<'_>, publish: &Frame) -> Result<bool> {
        let HotMethod::Publish(_) = HotMethod::parse(scanner.payload(publish))? else { return Ok(false) };
        let mut expected = FrameKind::Header;
        while let Some(frame) = scanner.next_frame()? {
            if (frame.channel, frame.kind) != (publish.channel, expected) {
                let (kind, channel) = (frame.kind, frame.channel);
                bail!(
                    "a {kind:?} frame of channel {channel} within a message of channel {}",
                    publish.channel
                );
            }
            if frame.kind == FrameKind::Header {
                ContentHeader::decode(scanner.payload(&frame))?;
            }
            expected = FrameKind::Body;
        }
        Ok(true)
    }

    /// The messages in a stretch of whole ones.
    pub(super) fn each(mut input: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let message = Self::read(input)?;
            input = &input[message.frames.len()..];
            Some(message)
        })
    }

    /// The body, as it was cut into frames.
    #[inline]
    pub(super) fn body_parts(&self) -> impl Iterator<Item = &'a [u8]> {
        let (mut frames, channel) = (self.body_frames, self.channel);
        std::iter::from_fn(move || {
            let (part, rest) = split_frame(frames, FrameKind::Body, channel)?;
            frames = rest;
            Some(part)
        })
    }
}

/// The payload of the frame at the front of `input`, if it is whole and of this kind and channel; and what follows.
#[inline]
fn split_frame(input: &[u8], kind: FrameKind, channel: u16) -> Option<(&[u8], &[u8])> {
    let ([number, high, low, size @ ..], rest) = input.split_first_chunk::<7>()?;
    let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*size) as usize)?;
    let (&end, rest) = rest.split_first()?;
    let is_expected = *number == kind as u8 && [*high, *low] == channel.to_be_bytes() && end == FRAME_END;
    is_expected.then_some((payload, rest))
}

#[inline]
fn split_short_string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length_bytes, rest) = input.split_first()?;
    rest.split_at_checked(usize::from(length_bytes))
}

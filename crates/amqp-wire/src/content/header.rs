//! The content header as a whole.

use message_properties::PropertiesView;

use super::ContentError;
use crate::frame::{FRAME_END, FrameKind, push_header};

/// The payload of a header frame, its properties still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Class of the method before it; 60 for every message.
    pub class_id: u16,
    /// Unused; 0 from every correct peer. Judged by the caller.
    pub weight: u16,
    /// Length of the whole body in bytes. As announced: the caller checks it against its limits.
    pub body_bytes: u64,
    /// The message's properties, checked.
    pub properties: PropertiesView<'a>,
}

impl<'a> ContentHeader<'a> {
    /// What stands before the properties.
    pub(crate) const FIXED_BYTES: usize = 12;

    /// Reads the payload of a header frame and checks the properties to their last byte. Allocates nothing.
    ///
    /// # Errors
    /// When the payload is too short, the properties are cut off or followed by more bytes, or the headers do not
    /// parse.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ContentError> {
        let Some((fixed, properties)) = payload.split_first_chunk::<{ ContentHeader::FIXED_BYTES }>() else {
            return Err(ContentError::HeaderTooShort { payload_bytes: payload.len() });
        };
        if properties.len() < 2 {
            return Err(ContentError::HeaderTooShort { payload_bytes: payload.len() });
        }
        let [a, b, c, d, body_bytes @ ..] = *fixed;
        Ok(Self {
            class_id: u16::from_be_bytes([a, b]),
            weight: u16::from_be_bytes([c, d]),
            body_bytes: u64::from_be_bytes(body_bytes),
            properties: PropertiesView::parse(properties)?,
        })
    }
}

/// Appends a whole header frame of class basic. `properties` are encoded, flags first.
pub(crate) fn encode_header_frame(out: &mut Vec<u8>, channel: u16, body_bytes: u64, properties: &[u8]) {
    const CLASS_AND_WEIGHT: [u8; 4] = [0, 60, 0, 0];
    let payload_bytes = ContentHeader::FIXED_BYTES + properties.len();
    push_header(out, FrameKind::Header, channel, payload_bytes as u32);
    out.extend_from_slice(&CLASS_AND_WEIGHT);
    out.extend_from_slice(&body_bytes.to_be_bytes());
    out.extend_from_slice(properties);
    out.push(FRAME_END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mut out = Vec::new();
        encode_header_frame(&mut out, 3, 1 << 40, b"\x10\x00\x02");
        let frame = crate::next_frame(&out, 0, 4096).unwrap().unwrap();
        let header = ContentHeader::decode(&out[frame.payload]).unwrap();
        assert_eq!((header.class_id, header.weight, header.body_bytes), (60, 0, 1 << 40));
        assert_eq!(header.properties.delivery_mode(), Some(2));
    }

    #[test]
    fn a_header_without_flags_is_too_short() {
        assert_eq!(ContentHeader::decode(&[0; 13]), Err(ContentError::HeaderTooShort { payload_bytes: 13 }));
        assert_eq!(ContentHeader::decode(&[]), Err(ContentError::HeaderTooShort { payload_bytes: 0 }));
        assert!(ContentHeader::decode(&[0; 14]).is_ok());
    }
}

//! Properties that stay encoded.

use std::ops::Range;

use field_table::{RawEntries, ShortString, Table};

use crate::property::Layout;
use crate::{PropertiesError, Property, PropertyFlags};

/// A message's properties as they lie on the wire: two bytes of flags, then what the flags announce.
///
/// Looking something up walks over the properties before it and allocates nothing. Messages are passed on with the
/// same bytes; a changed copy differs in the one property that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertiesView<'a> {
    raw: &'a [u8],
}

impl<'a> PropertiesView<'a> {
    /// The properties of a message that has none.
    pub const NONE: PropertiesView<'static> = PropertiesView { raw: &[0, 0] };

    /// Checks `raw` to its last byte, headers included.
    ///
    /// # Errors
    /// When a property is cut off, bytes follow the last one, or the headers do not parse.
    pub fn parse(raw: &'a [u8]) -> Result<Self, PropertiesError> {
        let view = Self { raw };
        if raw.len() < 2 {
            return Err(PropertiesError::Truncated { property: "property flags" });
        }
        let mut offset = 2;
        for property in view.flags().iter() {
            let value = value_at(raw, offset, property)
                .ok_or(PropertiesError::Truncated { property: property.name() })?;
            offset = value.end;
            if property == Property::Headers {
                RawEntries::new(&raw[value]).check()?;
            }
        }
        match raw.len() - offset {
            0 => Ok(view),
            bytes_left => Err(PropertiesError::TrailingBytes { bytes_left }),
        }
    }

    /// Takes bytes that [`PropertiesView::parse`] has accepted before. Of others, look-ups find less or nothing.
    pub fn from_checked(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes, flags first.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// Which properties are there.
    pub fn flags(&self) -> PropertyFlags {
        PropertyFlags(self.raw.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags)))
    }

    /// Where the value of `property` lies in [`Self::as_bytes`], without the length in front of it.
    pub fn range(&self, property: Property) -> Option<Range<usize>> {
        if !self.flags().contains(property) {
            return None;
        }
        value_at(self.raw, self.offset(property)?, property)
    }

    /// The value of `property`, without the length in front of it; numbers in network order.
    pub fn value(&self, property: Property) -> Option<&'a [u8]> {
        self.range(property).map(|range| &self.raw[range])
    }

    /// The delivery mode; 2 is persistent.
    pub fn delivery_mode(&self) -> Option<u8> {
        self.value(Property::DeliveryMode).map(|value| value[0])
    }

    /// Whether the message asks to survive a restart.
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode() == Some(2)
    }

    /// The priority.
    pub fn priority(&self) -> Option<u8> {
        self.value(Property::Priority).map(|value| value[0])
    }

    /// The timestamp in seconds since 1970.
    pub fn timestamp(&self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.value(Property::Timestamp)?.first_chunk()?))
    }

    /// The time to live, as its digits.
    pub fn expiration(&self) -> Option<&'a [u8]> {
        self.value(Property::Expiration)
    }

    /// The name of the user who published.
    pub fn user_id(&self) -> Option<&'a [u8]> {
        self.value(Property::UserId)
    }

    /// Where a reply should go.
    pub fn reply_to(&self) -> Option<&'a [u8]> {
        self.value(Property::ReplyTo)
    }

    /// A walk over the headers, without building them.
    pub fn headers(&self) -> Option<RawEntries<'a>> {
        self.value(Property::Headers).map(RawEntries::new)
    }

    /// A copy with another `reply-to`, or without one.
    pub fn with_reply_to(&self, reply_to: Option<&ShortString>) -> Vec<u8> {
        self.with_short_string(Property::ReplyTo, reply_to)
    }

    /// A copy with other headers, or without any.
    pub fn with_headers(&self, headers: Option<&Table>) -> Vec<u8> {
        self.replaced(Property::Headers, headers.map(|headers| move |out: &mut Vec<u8>| headers.encode(out)))
    }

    /// A copy in which the short string `property` has another value, or is absent.
    ///
    /// # Panics
    /// When `property` is no short string: headers, delivery mode, priority or timestamp.
    pub fn with_short_string(&self, property: Property, value: Option<&ShortString>) -> Vec<u8> {
        assert_eq!(property.layout(), Layout::ShortString, "{} is no short string", property.name());
        self.replaced(property, value.map(|value| move |out: &mut Vec<u8>| value.encode(out)))
    }

    /// A copy in which `property`, its length included, is what `write` appends; all else is byte for byte the same.
    fn replaced(&self, property: Property, write: Option<impl FnOnce(&mut Vec<u8>)>) -> Vec<u8> {
        let start = self.offset(property).unwrap_or(self.raw.len());
        let end = self.range(property).map_or(start, |value| value.end);
        let mut copy = Vec::with_capacity(self.raw.len() + 64);
        copy.extend_from_slice(&self.flags().with(property, write.is_some()).0.to_be_bytes());
        copy.extend_from_slice(self.raw.get(2..start).unwrap_or_default());
        if let Some(write) = write {
            write(&mut copy);
        }
        copy.extend_from_slice(self.raw.get(end..).unwrap_or_default());
        copy
    }

    /// Where `property` begins or would begin, its length included.
    fn offset(&self, property: Property) -> Option<usize> {
        let mut offset = 2;
        for earlier in self.flags().iter().take_while(|earlier| *earlier < property) {
            offset = value_at(self.raw, offset, earlier)?.end;
        }
        Some(offset)
    }
}

/// The place of the value of `property`, whose encoding begins at `offset`.
fn value_at(raw: &[u8], offset: usize, property: Property) -> Option<Range<usize>> {
    let (prefix_bytes, value_bytes) = property.layout().measure(raw.get(offset..)?)?;
    let start = offset + prefix_bytes;
    Some(start..start + value_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Properties;
    use field_table::Value;

    fn sample() -> Properties {
        Properties {
            content_type: Some(ShortString::from_static("text/plain")),
            headers: Some([(ShortString::from_static("n"), Value::I64(1))].into_iter().collect()),
            delivery_mode: Some(2),
            priority: Some(9),
            reply_to: Some(ShortString::from_static("replies")),
            expiration: Some(ShortString::from_static("60000")),
            timestamp: Some(1_700_000_000),
            user_id: Some(ShortString::from_static("guest")),
            ..Properties::default()
        }
    }

    #[test]
    fn peeks_see_what_decoding_sees() {
        let raw = sample().to_bytes();
        let view = PropertiesView::parse(&raw).unwrap();
        assert_eq!(view.delivery_mode(), Some(2));
        assert_eq!(view.priority(), Some(9));
        assert_eq!(view.reply_to(), Some(b"replies".as_slice()));
        assert_eq!(view.expiration(), Some(b"60000".as_slice()));
        assert_eq!(view.user_id(), Some(b"guest".as_slice()));
        assert_eq!(view.timestamp(), Some(1_700_000_000));
        assert_eq!(view.value(Property::AppId), None);
        assert_eq!(view.headers().unwrap().find(b"n").unwrap().as_integer(), Some(1));
    }

    #[test]
    fn a_changed_copy_differs_in_one_property() {
        let raw = sample().to_bytes();
        let view = PropertiesView::parse(&raw).unwrap();
        let name = ShortString::from_static("elsewhere");

        let expected = Properties { reply_to: Some(name.clone()), ..sample() };
        assert_eq!(view.with_reply_to(Some(&name)), expected.to_bytes());
        let expected = Properties { reply_to: None, ..sample() };
        assert_eq!(view.with_reply_to(None), expected.to_bytes());
        let expected = Properties { app_id: Some(name.clone()), ..sample() };
        assert_eq!(view.with_short_string(Property::AppId, Some(&name)), expected.to_bytes());
        let expected = Properties { headers: None, ..sample() };
        assert_eq!(view.with_headers(None), expected.to_bytes());
        assert_eq!(PropertiesView::NONE.with_reply_to(None), [0, 0]);
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_an_error() {
        let raw = sample().to_bytes();
        for length in 0..raw.len() {
            assert!(PropertiesView::parse(&raw[..length]).is_err(), "{length} bytes");
            let _ = PropertiesView::from_checked(&raw[..length]).with_reply_to(None);
        }
        let longer = [raw.as_slice(), &[0]].concat();
        assert_eq!(PropertiesView::parse(&longer), Err(PropertiesError::TrailingBytes { bytes_left: 1 }));
    }

    #[test]
    fn damaged_headers_are_an_error() {
        let error = PropertiesView::parse(b"\x20\x00\x00\x00\x00\x03\x01aZ").unwrap_err();
        assert!(matches!(error, PropertiesError::Headers(_)), "{error}");
    }
}

//! The short string: every name in AMQP.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::ShortStringTooLong;

/// At most 255 bytes of any value: the name of an exchange, a queue, a consumer tag, a routing key, a table's key.
///
/// The bytes need not be UTF-8, because RabbitMQ does not ask for it. A clone shares the bytes; making one from a
/// slice copies them, so that a name never keeps a whole read buffer alive. Comparison and hashing are those of the
/// byte slice, so that maps keyed by `ShortString` can be asked with `&[u8]`. The empty string does not allocate.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortString(Arc<[u8]>);

impl ShortString {
    /// The longest short string, in bytes: its length travels as one byte.
    pub const BYTES_MAX: usize = 255;

    /// Makes a short string of text that is known when the program is written.
    ///
    /// # Panics
    /// When `text` is longer than [`Self::BYTES_MAX`]: that is a bug of the caller.
    pub fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::BYTES_MAX, "a static short string is at most 255 bytes: {text}");
        Self::from_checked(text.as_bytes())
    }

    /// The first 255 bytes of `text`, cut at a character's border. For the texts of replies, which may be cut.
    pub fn from_text_cut(text: &str) -> Self {
        let mut end = text.len().min(Self::BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::from_checked(&text.as_bytes()[..end])
    }

    /// The bytes, without a length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the string has no bytes. AMQP gives the empty name a meaning in many places.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Callers have checked the length.
    pub(crate) fn from_checked(bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= Self::BYTES_MAX);
        if bytes.is_empty() { Self::default() } else { Self(Arc::from(bytes)) }
    }
}

impl TryFrom<&[u8]> for ShortString {
    type Error = ShortStringTooLong;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(ShortStringTooLong { length_bytes: bytes.len() });
        }
        Ok(Self::from_checked(bytes))
    }
}

impl TryFrom<&str> for ShortString {
    type Error = ShortStringTooLong;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::try_from(text.as_bytes())
    }
}

impl Deref for ShortString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for ShortString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<[u8]> for ShortString {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for ShortString {
    /// Bytes that are not UTF-8 show as replacement characters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), formatter)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn refuses_256_bytes_and_takes_255() {
        assert_eq!(ShortString::try_from([7; 256].as_slice()), Err(ShortStringTooLong { length_bytes: 256 }));
        assert_eq!(ShortString::try_from([7; 255].as_slice()).map(|name| name.len()), Ok(255));
    }

    #[test]
    fn a_map_keyed_by_it_is_asked_with_bytes() {
        let map = HashMap::from([(ShortString::from_static("tasks"), 1), (ShortString::default(), 2)]);
        assert_eq!(map.get(b"tasks".as_slice()), Some(&1));
        assert_eq!(map.get(b"".as_slice()), Some(&2));
    }

    #[test]
    fn shows_bytes_that_are_no_text() {
        let name = ShortString::try_from(b"a\xffb".as_slice()).unwrap();
        assert_eq!(name.to_string(), "a\u{fffd}b");
        assert_eq!(format!("{:?}", ShortString::from_static("say \"x\"")), r#""say \"x\"""#);
    }

    #[test]
    fn cuts_long_text_at_a_character() {
        let text = "\u{e9}".repeat(200);
        assert_eq!(ShortString::from_text_cut(&text).len(), 254);
        assert_eq!(ShortString::from_text_cut("short"), "short");
    }
}

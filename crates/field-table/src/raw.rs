//! Looking into an encoded table without building it.

use crate::decode::Cursor;
use crate::{TableError, Value};

/// Walks the entries of an encoded table without allocating, for look-ups on the way of a message.
///
/// Made from the bytes that follow a table's size. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RawEntries<'a> {
    cursor: Cursor<'a>,
}

/// A value that is still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue<'a> {
    letter: u8,
    /// What follows the letter, sizes included.
    bytes: &'a [u8],
}

impl<'a> RawEntries<'a> {
    /// Starts a walk over `entries`, the bytes after a table's size.
    pub fn new(entries: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(entries) }
    }

    /// The first entry named `key`; `None` also when the bytes before it are damaged.
    pub fn find(self, key: &[u8]) -> Option<RawValue<'a>> {
        self.map_while(Result::ok).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Walks to the end, nested values included, and says whether all of it is well formed.
    ///
    /// # Errors
    /// What [`Table::decode`](crate::Table::decode) would say.
    pub fn check(self) -> Result<(), TableError> {
        self.cursor.check_entries()
    }
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = Result<(&'a [u8], RawValue<'a>), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let entry = self.cursor.raw_entry();
        if entry.is_err() {
            self.cursor = Cursor::new(&[]);
        }
        Some(entry)
    }
}

impl<'a> RawValue<'a> {
    pub(crate) fn new(letter: u8, bytes: &'a [u8]) -> Self {
        Self { letter, bytes }
    }

    /// The type letter as it stands on the wire; may be `L`, which [`Value::letter`] never is.
    pub fn letter(&self) -> u8 {
        self.letter
    }

    /// The bytes, when this is a long string.
    pub fn as_str_bytes(&self) -> Option<&'a [u8]> {
        // The walk that found this value has checked that the size is there.
        (self.letter == b'S').then(|| &self.bytes[4..])
    }

    /// The number, when this is an integer of any width.
    pub fn as_integer(&self) -> Option<i64> {
        match self.letter {
            b'b' | b'B' | b's' | b'u' | b'I' | b'i' | b'l' | b'L' => self.decode().ok()?.as_integer(),
            _ => None,
        }
    }

    /// Builds the value. Allocates only for strings, arrays and tables.
    ///
    /// # Errors
    /// When something nested is damaged: the walk has looked at the outermost size alone.
    pub fn decode(&self) -> Result<Value, TableError> {
        Cursor::inside_table(self.bytes).value(self.letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShortString, Table};

    fn encoded(table: &Table) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        bytes.split_off(4)
    }

    fn headers() -> Table {
        [
            (ShortString::from_static("retries"), Value::I16(-3)),
            (ShortString::from_static("deep"), Value::Array(vec![Value::Void, Value::text("x")])),
            (ShortString::from_static("trace"), Value::text("abc")),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn finds_values_behind_others() {
        let bytes = encoded(&headers());
        assert_eq!(RawEntries::new(&bytes).find(b"trace").unwrap().as_str_bytes(), Some(b"abc".as_slice()));
        assert_eq!(RawEntries::new(&bytes).find(b"retries").unwrap().as_integer(), Some(-3));
        assert_eq!(RawEntries::new(&bytes).find(b"none"), None);
    }

    #[test]
    fn a_walk_builds_the_table_again() {
        let bytes = encoded(&headers());
        let rebuilt = RawEntries::new(&bytes)
            .map(|entry| {
                let (key, value) = entry.unwrap();
                (ShortString::try_from(key).unwrap(), value.decode().unwrap())
            })
            .collect::<Table>();
        assert_eq!(rebuilt, headers());
    }

    #[test]
    fn ends_after_the_first_damage() {
        let bytes = encoded(&headers());
        let walk = RawEntries::new(&bytes[..bytes.len() - 1]);
        assert_eq!(walk.clone().filter(Result::is_err).count(), 1);
        assert_eq!(walk.last().unwrap(), Err(TableError::Truncated { inside: "value", bytes_missing: 1 }));
    }
}

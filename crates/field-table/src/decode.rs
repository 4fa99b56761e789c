//! Bytes to values. Nothing here trusts a length, and nothing allocates by one.

use bytes::Bytes;

use crate::raw::RawValue;
use crate::{DEPTH_MAX, ShortString, Table, TableError, Value};

impl Table {
    /// Reads a table from all of `entries`: the bytes that follow a table's size.
    ///
    /// Strings are copied, so that the table does not keep the buffer alive. A table of hostile bytes takes at most
    /// about 50 times the memory of the bytes, which the frame size bounds.
    ///
    /// # Errors
    /// When an entry is cut off, a type letter is unknown, or the nesting is deeper than [`DEPTH_MAX`].
    pub fn decode(entries: &[u8]) -> Result<Self, TableError> {
        Cursor::new(entries).entries()
    }

    /// Reads a table with its size from the front of `input`, which then starts behind the table.
    ///
    /// # Errors
    /// As [`Table::decode`], and when `input` is shorter than the announced size. `input` is then unchanged.
    pub fn read(input: &mut &[u8]) -> Result<Self, TableError> {
        let mut cursor = Cursor { input, depth: 0 };
        let table = cursor.table()?;
        *input = cursor.input;
        Ok(table)
    }
}

/// The rest of the input, and how many tables and arrays surround it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    input: &'a [u8],
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// Over the entries of an outermost table.
    pub(crate) fn new(entries: &'a [u8]) -> Self {
        Self { input: entries, depth: 1 }
    }

    /// Over a value that lies in an outermost table.
    pub(crate) fn inside_table(value: &'a [u8]) -> Self {
        Self { input: value, depth: 1 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The next entry with its value still encoded. Only the value's outermost size is looked at.
    pub(crate) fn raw_entry(&mut self) -> Result<(&'a [u8], RawValue<'a>), TableError> {
        let key = self.key()?;
        let letter = self.letter()?;
        Ok((key, RawValue::new(letter, self.value_bytes(letter)?)))
    }

    /// Reads the value that `letter` announces.
    pub(crate) fn value(&mut self, letter: u8) -> Result<Value, TableError> {
        Ok(match letter {
            b't' => Value::Bool(self.number::<1>()? != [0]),
            b'b' => Value::I8(i8::from_be_bytes(self.number()?)),
            b'B' => Value::U8(u8::from_be_bytes(self.number()?)),
            b's' => Value::I16(i16::from_be_bytes(self.number()?)),
            b'u' => Value::U16(u16::from_be_bytes(self.number()?)),
            b'I' => Value::I32(i32::from_be_bytes(self.number()?)),
            b'i' => Value::U32(u32::from_be_bytes(self.number()?)),
            b'l' | b'L' => Value::I64(i64::from_be_bytes(self.number()?)),
            b'f' => Value::F32(f32::from_be_bytes(self.number()?)),
            b'd' => Value::F64(f64::from_be_bytes(self.number()?)),
            b'D' => Value::Decimal {
                scale: u8::from_be_bytes(self.number()?),
                value: u32::from_be_bytes(self.number()?),
            },
            b'S' => Value::LongString(Bytes::copy_from_slice(self.sized()?)),
            b'x' => Value::ByteArray(Bytes::copy_from_slice(self.sized()?)),
            b'A' => Value::Array(self.nested()?.values()?),
            b'T' => Value::Timestamp(u64::from_be_bytes(self.number()?)),
            b'F' => Value::Table(self.table()?),
            b'V' => Value::Void,
            _ => return Err(TableError::UnknownLetter { letter }),
        })
    }

    /// Walks over entries to the end of the input and keeps none.
    pub(crate) fn check_entries(mut self) -> Result<(), TableError> {
        while !self.is_empty() {
            self.key()?;
            self.check_value()?;
        }
        Ok(())
    }

    fn check_value(&mut self) -> Result<(), TableError> {
        match self.letter()? {
            b'F' => self.nested()?.check_entries(),
            b'A' => self.nested()?.check_values(),
            letter => self.value_bytes(letter).map(drop),
        }
    }

    fn check_values(mut self) -> Result<(), TableError> {
        while !self.is_empty() {
            self.check_value()?;
        }
        Ok(())
    }

    fn table(&mut self) -> Result<Table, TableError> {
        self.nested()?.entries()
    }

    fn entries(mut self) -> Result<Table, TableError> {
        let mut table = Table::new();
        while !self.is_empty() {
            let key = ShortString::from_checked(self.key()?);
            let letter = self.letter()?;
            table.push(key, self.value(letter)?);
        }
        Ok(table)
    }

    fn values(mut self) -> Result<Vec<Value>, TableError> {
        let mut values = Vec::new();
        while !self.is_empty() {
            let letter = self.letter()?;
            values.push(self.value(letter)?);
        }
        Ok(values)
    }

    /// A cursor over the content of the sized value that comes next, one level deeper.
    fn nested(&mut self) -> Result<Self, TableError> {
        if self.depth == DEPTH_MAX {
            return Err(TableError::TooDeep);
        }
        Ok(Self { input: self.sized()?, depth: self.depth + 1 })
    }

    fn key(&mut self) -> Result<&'a [u8], TableError> {
        let length_bytes = self.take(1, "key")?[0];
        self.take(length_bytes.into(), "key")
    }

    fn letter(&mut self) -> Result<u8, TableError> {
        Ok(self.take(1, "type letter")?[0])
    }

    /// The bytes of the value that `letter` announces, its size included.
    fn value_bytes(&mut self, letter: u8) -> Result<&'a [u8], TableError> {
        let length_bytes = match letter {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' | b'A' | b'F' => {
                let start = self.input;
                let content = self.sized()?;
                return Ok(&start[..4 + content.len()]);
            }
            _ => return Err(TableError::UnknownLetter { letter }),
        };
        self.take(length_bytes, "value")
    }

    /// A `u32` size and as many bytes.
    fn sized(&mut self) -> Result<&'a [u8], TableError> {
        let size_bytes = u32::from_be_bytes(self.number()?);
        self.take(size_bytes as usize, "value")
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], TableError> {
        match self.input.split_first_chunk::<BYTES>() {
            Some((number, rest)) => {
                self.input = rest;
                Ok(*number)
            }
            None => Err(TableError::Truncated { inside: "value", bytes_missing: BYTES - self.input.len() }),
        }
    }

    fn take(&mut self, count_bytes: usize, inside: &'static str) -> Result<&'a [u8], TableError> {
        let Some((taken, rest)) = self.input.split_at_checked(count_bytes) else {
            return Err(TableError::Truncated { inside, bytes_missing: count_bytes - self.input.len() });
        };
        self.input = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawEntries;

    /// `entries` is what RabbitMQ writes for one entry named `k`.
    fn check_one(letter_and_value: &[u8], expected: Value) {
        let entries = [b"\x01k".as_slice(), letter_and_value].concat();
        let table = Table::decode(&entries).unwrap();
        assert_eq!(table.iter().next(), Some(&(ShortString::from_static("k"), expected)));
        assert_eq!(RawEntries::new(&entries).check(), Ok(()));
    }

    #[test]
    fn reads_each_letter_as_rabbitmq_does() {
        check_one(b"t\x02", Value::Bool(true));
        check_one(b"b\xff", Value::I8(-1));
        check_one(b"B\xff", Value::U8(255));
        check_one(b"s\xff\xfe", Value::I16(-2));
        check_one(b"u\xff\xfe", Value::U16(65534));
        check_one(b"I\xff\xff\xff\xfd", Value::I32(-3));
        check_one(b"i\xff\xff\xff\xfd", Value::U32(4_294_967_293));
        check_one(b"l\xff\xff\xff\xff\xff\xff\xff\xfc", Value::I64(-4));
        check_one(b"L\xff\xff\xff\xff\xff\xff\xff\xfc", Value::I64(-4));
        check_one(b"f\x3f\x00\x00\x00", Value::F32(0.5));
        check_one(b"d\x3f\xe0\x00\x00\x00\x00\x00\x00", Value::F64(0.5));
        check_one(b"D\x02\x00\x00\x01\x00", Value::Decimal { scale: 2, value: 256 });
        check_one(b"S\x00\x00\x00\x02\xffa", Value::LongString(Bytes::from_static(b"\xffa")));
        check_one(b"x\x00\x00\x00\x00", Value::ByteArray(Bytes::new()));
        check_one(b"A\x00\x00\x00\x03Vb\x01", Value::Array(vec![Value::Void, Value::I8(1)]));
        check_one(b"T\x00\x00\x00\x00\x00\x00\x00\x09", Value::Timestamp(9));
        check_one(b"F\x00\x00\x00\x00", Value::Table(Table::new()));
        check_one(b"V", Value::Void);
    }

    fn check_error(entries: &[u8], expected: TableError) {
        assert_eq!(Table::decode(entries), Err(expected));
        assert_eq!(RawEntries::new(entries).check(), Err(expected));
    }

    #[test]
    fn names_what_is_missing() {
        check_error(b"\x05ab", TableError::Truncated { inside: "key", bytes_missing: 3 });
        check_error(b"\x01a", TableError::Truncated { inside: "type letter", bytes_missing: 1 });
        check_error(b"\x01aI\x00", TableError::Truncated { inside: "value", bytes_missing: 3 });
        check_error(
            b"\x01aS\x00\x00\x00\x09abc",
            TableError::Truncated { inside: "value", bytes_missing: 6 },
        );
        check_error(b"\x01aU\x00\x00", TableError::UnknownLetter { letter: b'U' });
    }

    #[test]
    fn an_announced_size_of_4_gib_is_not_believed() {
        let missing = u32::MAX as usize - 1;
        check_error(
            b"\x01aA\xff\xff\xff\xffV",
            TableError::Truncated { inside: "value", bytes_missing: missing },
        );
    }

    /// Arrays within arrays, `levels` deep, as the value of one entry.
    fn nested_arrays(levels: usize) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..levels {
            let size = (value.len() as u32).to_be_bytes();
            value = [b"A".as_slice(), &size, &value].concat();
        }
        [b"\x01k".as_slice(), &value].concat()
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        assert!(Table::decode(&nested_arrays(DEPTH_MAX - 1)).is_ok());
        check_error(&nested_arrays(DEPTH_MAX), TableError::TooDeep);
        check_error(&nested_arrays(10_000), TableError::TooDeep);
    }

    #[test]
    fn read_leaves_the_bytes_behind_the_table() {
        let mut input = b"\x00\x00\x00\x03\x01aVrest".as_slice();
        assert_eq!(Table::read(&mut input).map(|table| table.len()), Ok(1));
        assert_eq!(input, b"rest");
        let mut short = b"\x00\x00\x00\x09\x01aV".as_slice();
        assert_eq!(Table::read(&mut short), Err(TableError::Truncated { inside: "value", bytes_missing: 6 }));
        assert_eq!(short.len(), 7);
    }
}

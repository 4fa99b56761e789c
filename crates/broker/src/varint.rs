//! The integers, strings and lists that records and rows are made of.

use bytes::{BufMut, Bytes};
use field_table::{ShortString, Table};

/// Appends a LEB128 integer: seven bits a byte, low ones first.
pub(crate) fn write(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a length and the bytes.
pub(crate) fn write_bytes(out: &mut impl BufMut, bytes: &[u8]) {
    write(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Appends an integer that may be absent: 0 for none, else one more than the integer.
pub(crate) fn write_optional(out: &mut impl BufMut, value: Option<u64>) {
    write(out, value.map_or(0, |value| value.saturating_add(1)));
}

/// Appends a table with its four bytes of length.
pub(crate) fn write_table(out: &mut impl BufMut, table: &Table) {
    let mut encoded = Vec::new();
    table.encode(&mut encoded);
    out.put_slice(&encoded);
}

/// Reads what the functions above wrote. Every method answers `None` where the bytes do not fit.
#[derive(Debug)]
pub(crate) struct Cursor {
    bytes: Bytes,
    position: usize,
}

impl Cursor {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// What is left to read; it stays so.
    pub(crate) fn rest(&self) -> Bytes {
        self.bytes.slice(self.position..)
    }

    /// Leaves nothing to read.
    pub(crate) fn finish(&mut self) {
        self.position = self.bytes.len();
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// Reads four integers at once, if each of them is below 128.
    pub(crate) fn four_below_128(&mut self) -> Option<[u8; 4]> {
        let four: [u8; 4] = self.bytes.get(self.position..self.position + 4)?.try_into().ok()?;
        let is_short = u32::from_ne_bytes(four) & 0x8080_8080 == 0;
        self.position += if is_short { 4 } else { 0 };
        is_short.then_some(four)
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// What this program counts by itself, one by one: queues, messages of a queue, boots, deliveries, entries. It gets
    /// nowhere near the bound, below which sums are safe.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.varint().filter(|count| *count < 1 << 62)
    }

    pub(crate) fn optional(&mut self) -> Option<Option<u64>> {
        Some(self.varint()?.checked_sub(1))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.as_ref().try_into().ok()
    }

    /// The next `length` bytes, sharing the buffer.
    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let taken = self.bytes.slice(self.position..end);
        self.position = end;
        Some(taken)
    }

    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    pub(crate) fn name(&mut self) -> Option<ShortString> {
        ShortString::try_from(&self.bytes()?[..]).ok()
    }

    pub(crate) fn table(&mut self) -> Option<Table> {
        let mut rest = &self.bytes[self.position..];
        let table = Table::read(&mut rest).ok()?;
        self.position = self.bytes.len() - rest.len();
        Some(table)
    }

    /// A count and as many items. Nothing is allocated for items that are only announced.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.varint()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip_and_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(Cursor::new(out.into()).varint(), Some(value));
        }
        assert_eq!(Cursor::new(Bytes::from_static(&[0xff; 11])).varint(), None);
        assert_eq!(Cursor::new(Bytes::from_static(&[0x80])).varint(), None);
    }
}

//! Arguments of methods to and from bytes, bits packed.

use bytes::Bytes;
use field_table::{ShortString, Table, TableError};

use super::ArgumentKind;

/// Why arguments could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The payload ends inside an argument.
    #[error("{bytes_missing} more bytes were announced")]
    Truncated {
        /// Bytes that are missing, at least 1.
        bytes_missing: usize,
    },
    /// Bytes are left after the last argument.
    #[error("{bytes_left} bytes follow the last argument")]
    TrailingBytes {
        /// Bytes that are left, at least 1.
        bytes_left: usize,
    },
    /// A field table does not parse.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Reads arguments one after the other.
#[derive(Clone, Debug)]
pub struct ArgumentReader<'a> {
    input: &'a [u8],
    bits: u8,
    bits_left: u8,
}

impl<'a> ArgumentReader<'a> {
    /// Starts at the first argument, behind the method id.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, bits: 0, bits_left: 0 }
    }

    /// Checks that every byte has been read. Unused bits of the last byte may have any value, as in RabbitMQ.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(self) -> Result<(), ArgumentError> {
        match self.input.len() {
            0 => Ok(()),
            bytes_left => Err(ArgumentError::TrailingBytes { bytes_left }),
        }
    }

    pub(super) fn read<A: Argument>(&mut self) -> Result<A, ArgumentError> {
        A::read(self)
    }

    /// How many bytes are left; borrowed parsers find their ranges by it.
    pub(crate) fn bytes_left(&self) -> usize {
        self.input.len()
    }

    pub(crate) fn bit(&mut self) -> Result<bool, ArgumentError> {
        if self.bits_left == 0 {
            self.bits = self.take(1)?[0];
            self.bits_left = 8;
        }
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    pub(crate) fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], ArgumentError> {
        self.bits_left = 0;
        let Some((number, rest)) = self.input.split_first_chunk::<BYTES>() else {
            return Err(ArgumentError::Truncated { bytes_missing: BYTES - self.input.len() });
        };
        self.input = rest;
        Ok(*number)
    }

    pub(crate) fn short_string(&mut self) -> Result<&'a [u8], ArgumentError> {
        let [length_bytes] = self.number()?;
        self.take(length_bytes.into())
    }

    fn long_string(&mut self) -> Result<&'a [u8], ArgumentError> {
        let length_bytes = u32::from_be_bytes(self.number()?);
        self.take(length_bytes as usize)
    }

    fn take(&mut self, count_bytes: usize) -> Result<&'a [u8], ArgumentError> {
        let Some((taken, rest)) = self.input.split_at_checked(count_bytes) else {
            return Err(ArgumentError::Truncated { bytes_missing: count_bytes - self.input.len() });
        };
        self.input = rest;
        Ok(taken)
    }
}

/// Appends arguments one after the other.
#[derive(Debug)]
pub struct ArgumentWriter<'a> {
    out: &'a mut Vec<u8>,
    bits_used: u8,
}

impl<'a> ArgumentWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits_used: 0 }
    }

    pub(super) fn write<A: Argument>(&mut self, argument: &A) {
        argument.write(self);
    }

    fn bit(&mut self, bit: bool) {
        if self.bits_used.is_multiple_of(8) {
            self.out.push(0);
            self.bits_used = 0;
        }
        if let Some(last) = self.out.last_mut() {
            *last |= u8::from(bit) << self.bits_used;
        }
        self.bits_used += 1;
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        self.bits_used = 0;
        self.out
    }
}

/// A type that can be an argument.
pub(super) trait Argument: Sized {
    const KIND: ArgumentKind;

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError>;

    fn write(&self, out: &mut ArgumentWriter<'_>);
}

impl Argument for bool {
    const KIND: ArgumentKind = ArgumentKind::Bit;

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
        input.bit()
    }

    fn write(&self, out: &mut ArgumentWriter<'_>) {
        out.bit(*self);
    }
}

macro_rules! number_argument {
    ($($number:ident $kind:ident),*) => {$(
        impl Argument for $number {
            const KIND: ArgumentKind = ArgumentKind::$kind;

            fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
                Ok(Self::from_be_bytes(input.number()?))
            }

            fn write(&self, out: &mut ArgumentWriter<'_>) {
                out.bytes().extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

number_argument!(u8 U8, u16 U16, u32 U32, u64 U64);

impl Argument for ShortString {
    const KIND: ArgumentKind = ArgumentKind::ShortString;

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
        let bytes = input.short_string()?;
        Ok(Self::try_from(bytes).expect("a length of one byte is at most 255"))
    }

    fn write(&self, out: &mut ArgumentWriter<'_>) {
        self.encode(out.bytes());
    }
}

impl Argument for Bytes {
    const KIND: ArgumentKind = ArgumentKind::LongString;

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
        input.long_string().map(Self::copy_from_slice)
    }

    fn write(&self, out: &mut ArgumentWriter<'_>) {
        let length_bytes = u32::try_from(self.len()).expect("a long string is shorter than 4 GiB");
        let bytes = out.bytes();
        bytes.extend_from_slice(&length_bytes.to_be_bytes());
        bytes.extend_from_slice(self);
    }
}

impl Argument for Table {
    const KIND: ArgumentKind = ArgumentKind::Table;

    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
        input.long_string().and_then(|entries| Ok(Self::decode(entries)?))
    }

    fn write(&self, out: &mut ArgumentWriter<'_>) {
        self.encode(out.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_bytes_from_below_and_end_with_the_next_argument() {
        let mut out = Vec::new();
        let mut writer = ArgumentWriter::new(&mut out);
        for bit in [true, false, true, false, false, false, false, false, true] {
            writer.write(&bit);
        }
        writer.write(&7u8);
        writer.write(&true);
        assert_eq!(out, [0b101, 1, 7, 1]);

        let mut reader = ArgumentReader::new(&out);
        let bits: Vec<bool> = (0..9).map(|_| reader.read().unwrap()).collect();
        assert_eq!(bits, [true, false, true, false, false, false, false, false, true]);
        assert_eq!(reader.read::<u8>(), Ok(7));
        assert_eq!(reader.read::<bool>(), Ok(true));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn says_how_much_is_missing_or_left() {
        let mut reader = ArgumentReader::new(&[5, 1, 2]);
        assert_eq!(reader.read::<ShortString>(), Err(ArgumentError::Truncated { bytes_missing: 3 }));
        let reader = ArgumentReader::new(&[5, 1, 2]);
        assert_eq!(reader.finish(), Err(ArgumentError::TrailingBytes { bytes_left: 3 }));
    }
}

//! Values to bytes.

use crate::{ShortString, Table, Value};

impl Table {
    /// Appends the table to `out`: its size as a `u32`, then the entries in order.
    ///
    /// Costs no allocation but the growth of `out`.
    ///
    /// # Panics
    /// When the table needs 4 GiB or more. No frame can bring one of that size.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_sized(out, |out| {
            for (key, value) in self {
                key.encode(out);
                value.encode(out);
            }
        });
    }
}

impl Value {
    /// Appends the type letter and the value to `out`.
    ///
    /// # Panics
    /// When the value needs 4 GiB or more. No frame can bring one of that size.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.letter());
        match self {
            Self::Bool(truth) => out.push(u8::from(*truth)),
            Self::I8(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::U8(number) => out.push(*number),
            Self::I16(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::U16(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::I32(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::U32(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::I64(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::F32(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::F64(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::Decimal { scale, value } => {
                out.push(*scale);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::LongString(bytes) | Self::ByteArray(bytes) => {
                encode_sized(out, |out| out.extend_from_slice(bytes));
            }
            Self::Array(values) => encode_sized(out, |out| values.iter().for_each(|value| value.encode(out))),
            Self::Timestamp(seconds) => out.extend_from_slice(&seconds.to_be_bytes()),
            Self::Table(table) => table.encode(out),
            Self::Void => {}
        }
    }
}

impl ShortString {
    /// Appends the length as one byte, then the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // The type holds at most 255 bytes.
        out.push(self.len() as u8);
        out.extend_from_slice(self);
    }
}

/// Writes a `u32` size and what `write` appends; the size is filled in afterwards, so that nothing is walked twice.
fn encode_sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let size_at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let size_bytes = out.len() - size_at - 4;
    let size_bytes = u32::try_from(size_bytes).expect("a field table value is smaller than 4 GiB");
    out[size_at..size_at + 4].copy_from_slice(&size_bytes.to_be_bytes());
}

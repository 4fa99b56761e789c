//! One typed value of a field table.

use std::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::Table;

/// A typed value. The width of a number is part of the value, because it is echoed as it came.
///
/// Letters follow RabbitMQ's practice and not the specification: `s` is a 16-bit integer (the specification's `U`,
/// which RabbitMQ does not read), `l` and `L` are both signed 64-bit integers (only `l` is written), and a short
/// string inside a table does not exist.
///
/// Two values are equal when their encodings are equal: floats compare by their bits, so that equality is lawful and
/// a NaN equals itself. For comparison without regard to a number's width see [`Value::same_value`].
#[derive(Clone, Debug)]
pub enum Value {
    /// `t`: true or false.
    Bool(bool),
    /// `b`: signed, 8 bits.
    I8(i8),
    /// `B`: unsigned, 8 bits.
    U8(u8),
    /// `s`: signed, 16 bits.
    I16(i16),
    /// `u`: unsigned, 16 bits.
    U16(u16),
    /// `I`: signed, 32 bits.
    I32(i32),
    /// `i`: unsigned, 32 bits.
    U32(u32),
    /// `l`, and `L` when read: signed, 64 bits. The width for every integer that the broker makes itself.
    I64(i64),
    /// `f`: floating point, 32 bits.
    F32(f32),
    /// `d`: floating point, 64 bits.
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal {
        /// Decimal places.
        scale: u8,
        /// The digits, as an unsigned number (RabbitMQ's reading).
        value: u32,
    },
    /// `S`: bytes that usually are UTF-8 text, at most 4 GiB less one byte.
    LongString(Bytes),
    /// `x`: bytes without a claim of being text.
    ByteArray(Bytes),
    /// `A`: values in order.
    Array(Vec<Value>),
    /// `T`: seconds since 1970-01-01T00:00:00Z.
    Timestamp(u64),
    /// `F`: a table within the table.
    Table(Table),
    /// `V`: present and without a value.
    Void,
}

impl Value {
    /// A long string of `text`.
    pub fn text(text: &str) -> Self {
        Self::LongString(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// The letter that announces this value on the wire.
    pub fn letter(&self) -> u8 {
        match self {
            Self::Bool(_) => b't',
            Self::I8(_) => b'b',
            Self::U8(_) => b'B',
            Self::I16(_) => b's',
            Self::U16(_) => b'u',
            Self::I32(_) => b'I',
            Self::U32(_) => b'i',
            Self::I64(_) => b'l',
            Self::F32(_) => b'f',
            Self::F64(_) => b'd',
            Self::Decimal { .. } => b'D',
            Self::LongString(_) => b'S',
            Self::ByteArray(_) => b'x',
            Self::Array(_) => b'A',
            Self::Timestamp(_) => b'T',
            Self::Table(_) => b'F',
            Self::Void => b'V',
        }
    }

    /// RabbitMQ's name of the type, as its error texts show it (`... of type 'signedint'`).
    ///
    /// The names are those of `rabbit_framing:amqp_field_type()` in rabbitmq-server.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::ByteArray(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }

    /// The number, when this is an integer of any width. A timestamp is none.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(number) => Some(number.into()),
            Self::U8(number) => Some(number.into()),
            Self::I16(number) => Some(number.into()),
            Self::U16(number) => Some(number.into()),
            Self::I32(number) => Some(number.into()),
            Self::U32(number) => Some(number.into()),
            Self::I64(number) => Some(number),
            _ => None,
        }
    }

    /// The truth value, when this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The bytes, when this is a long string. They need not be UTF-8.
    pub fn as_str_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongString(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The table, when this is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Whether both mean the same when the width of integers and of floats is dropped, recursively.
    ///
    /// This is RabbitMQ's rule when a queue is declared again: 32-bit 5 is 64-bit 5, but neither `"5"` nor 5.0.
    /// Tables compare without regard to the order of their keys, arrays in order.
    pub fn same_value(&self, other: &Self) -> bool {
        if let (Some(mine), Some(theirs)) = (self.as_integer(), other.as_integer()) {
            return mine == theirs;
        }
        if let (Some(mine), Some(theirs)) = (self.as_float(), other.as_float()) {
            return mine == theirs || self == other;
        }
        match (self, other) {
            (Self::Array(mine), Self::Array(theirs)) => {
                mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(a, b)| a.same_value(b))
            }
            (Self::Table(mine), Self::Table(theirs)) => mine.same_values(theirs),
            _ => self == other,
        }
    }

    fn as_float(&self) -> Option<f64> {
        match *self {
            Self::F32(number) => Some(number.into()),
            Self::F64(number) => Some(number),
            _ => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::I8(a), Self::I8(b)) => a == b,
            (Self::U8(a), Self::U8(b)) => a == b,
            (Self::I16(a), Self::I16(b)) => a == b,
            (Self::U16(a), Self::U16(b)) => a == b,
            (Self::I32(a), Self::I32(b)) => a == b,
            (Self::U32(a), Self::U32(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::Decimal { scale, value }, Self::Decimal { scale: other_scale, value: other_value }) => {
                scale == other_scale && value == other_value
            }
            (Self::LongString(a), Self::LongString(b)) | (Self::ByteArray(a), Self::ByteArray(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => a == b,
            (Self::Void, Self::Void) => true,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.letter().hash(state);
        match self {
            Self::Bool(truth) => truth.hash(state),
            Self::F32(number) => number.to_bits().hash(state),
            Self::F64(number) => number.to_bits().hash(state),
            Self::Decimal { scale, value } => (scale, value).hash(state),
            Self::LongString(bytes) | Self::ByteArray(bytes) => bytes.hash(state),
            Self::Array(values) => values.hash(state),
            Self::Timestamp(seconds) => seconds.hash(state),
            Self::Table(table) => table.hash(state),
            Self::Void => {}
            integer => integer.as_integer().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShortString;

    #[test]
    fn width_of_a_number_does_not_change_its_value() {
        assert!(Value::I32(5).same_value(&Value::I64(5)));
        assert!(Value::U8(5).same_value(&Value::I8(5)));
        assert!(Value::F32(0.5).same_value(&Value::F64(0.5)));
        assert_ne!(Value::I32(5), Value::I64(5));
    }

    #[test]
    fn text_and_fractions_are_not_integers() {
        assert!(!Value::I32(5).same_value(&Value::text("5")));
        assert!(!Value::I32(5).same_value(&Value::F64(5.0)));
        assert!(!Value::I32(5).same_value(&Value::Timestamp(5)));
        assert!(!Value::text("a").same_value(&Value::ByteArray(Bytes::from_static(b"a"))));
    }

    #[test]
    fn nested_values_drop_their_width_too() {
        let nested = |number: Value| {
            let table: Table = [(ShortString::from_static("n"), number)].into_iter().collect();
            Value::Array(vec![Value::Table(table), Value::Void])
        };
        assert!(nested(Value::I16(1)).same_value(&nested(Value::U32(1))));
        assert!(!nested(Value::I16(1)).same_value(&nested(Value::U32(2))));
        assert!(!nested(Value::I16(1)).same_value(&Value::Array(vec![])));
    }

    #[test]
    fn a_nan_equals_itself() {
        assert_eq!(Value::F64(f64::NAN), Value::F64(f64::NAN));
        assert_ne!(Value::F64(0.0), Value::F64(-0.0));
    }
}

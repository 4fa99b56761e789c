//! Facts about methods.

use std::fmt;

use super::argument::{ArgumentError, ArgumentReader, ArgumentWriter};

/// The two numbers that name a method on the wire and in a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId {
    /// The class: 60 is basic.
    pub class_id: u16,
    /// The method within the class.
    pub method_id: u16,
}

impl fmt::Display for MethodId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{},{}", self.class_id, self.method_id)
    }
}

/// What the struct of each method can do.
pub trait MethodArguments: Sized {
    /// The numbers, the name and the arguments.
    const SPEC: MethodSpec;

    /// Reads the arguments: the bytes of a method frame after the four bytes of the id.
    ///
    /// # Errors
    /// When the arguments end early or do not parse. Bytes that are left over are the caller's to judge.
    fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError>;

    /// Writes the arguments.
    fn write(&self, out: &mut ArgumentWriter<'_>);

    /// Appends the payload of a method frame: id and arguments.
    fn encode(&self, out: &mut Vec<u8>) {
        let MethodId { class_id, method_id } = Self::SPEC.id;
        out.extend_from_slice(&class_id.to_be_bytes());
        out.extend_from_slice(&method_id.to_be_bytes());
        let mut writer = ArgumentWriter::new(out);
        self.write(&mut writer);
    }
}

/// A line of the table of methods, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodSpec {
    /// The numbers.
    pub id: MethodId,
    /// `class.method`, as the specification writes it: `basic.get-ok`.
    pub name: &'static str,
    /// Whether a content header and a body follow.
    pub carries_content: bool,
    /// The arguments in order, reserved ones included.
    pub arguments: &'static [ArgumentSpec],
}

/// One argument of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentSpec {
    /// The field's name; `reserved` for one that is skipped when read and written as its default.
    pub name: &'static str,
    /// How it looks on the wire.
    pub kind: ArgumentKind,
}

/// How an argument looks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgumentKind {
    /// One bit; neighbouring bits share bytes, the first in the lowest place.
    Bit,
    /// 8 bits, unsigned.
    U8,
    /// 16 bits, unsigned.
    U16,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, unsigned.
    U64,
    /// A length of one byte and as many bytes.
    ShortString,
    /// A length of four bytes and as many bytes.
    LongString,
    /// A size of four bytes and a field table.
    Table,
}

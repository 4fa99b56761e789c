//! What can be wrong with bytes that claim to be a table or a short string.

use crate::DEPTH_MAX;

/// The bytes are not a field table.
///
/// The offsets that would locate the damage are left out on purpose: no peer and no operator acts on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table ends in the middle of a key, a value or an announced length.
    #[error("the field table ends inside a {inside}; {bytes_missing} more bytes were announced")]
    Truncated {
        /// What was being read: `key`, `type letter` or `value`.
        inside: &'static str,
        /// Bytes that are missing from what was announced, at least 1.
        bytes_missing: usize,
    },
    /// A value has a type letter that nobody in practice writes.
    #[error("field table value has the unknown type letter {letter:#04x}; RabbitMQ knows tbBsuIilLfdDSxATFV")]
    UnknownLetter {
        /// The byte where the letter was expected.
        letter: u8,
    },
    /// Tables and arrays lie more than [`DEPTH_MAX`] deep.
    #[error("field tables and arrays are nested deeper than {DEPTH_MAX} levels; flatten the table")]
    TooDeep,
}

/// A name of more than 255 bytes where AMQP has room for 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a short string of {length_bytes} bytes is over the limit of 255 bytes; shorten it")]
pub struct ShortStringTooLong {
    /// Length of the refused string in bytes.
    pub length_bytes: usize,
}

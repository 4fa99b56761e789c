//! AMQP 0-9-1 field tables, as RabbitMQ and its clients really encode them.
//!
//! A field table is an ordered list of named, typed values. Queue and binding arguments, message headers, and the
//! properties that peers tell each other at the start of a connection are field tables. The specification and practice
//! disagree about some type letters; this crate follows practice, which the comments of [`Value`] list.
//!
//! The crate reads and writes bytes that it is handed. It knows nothing of frames, brokers or sockets.
//!
//! ```
//! use field_table::{ShortString, Table, Value};
//!
//! let mut arguments = Table::new();
//! arguments.insert(ShortString::from_static("x-max-length"), Value::I64(10));
//! let mut bytes = Vec::new();
//! arguments.encode(&mut bytes);
//! assert_eq!(Table::read(&mut bytes.as_slice()), Ok(arguments));
//! ```

mod decode;
mod encode;
mod error;
mod raw;
mod short_string;
#[cfg(any(test, feature = "proptest"))]
pub mod strategy;
mod table;
mod value;

pub use error::{ShortStringTooLong, TableError};
pub use raw::{RawEntries, RawValue};
pub use short_string::ShortString;
pub use table::Table;
pub use value::Value;

/// How many tables and arrays may lie inside each other, the outermost table counted.
///
/// A count. RabbitMQ sets no limit; real headers (`x-death`: a table, an array, a table) use three levels, and the
/// deepest that frameworks produce is about ten. The bound keeps a hostile table from exhausting the stack.
pub const DEPTH_MAX: usize = 64;

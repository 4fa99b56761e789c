//! Methods: what peers ask and answer, and how their arguments look on the wire.
//!
//! `table.rs` lists every method once, and the macro in `define.rs` makes types and codec out of the list.

mod argument;
mod define;
mod error;
mod spec;
mod table;

pub use argument::{ArgumentError, ArgumentReader, ArgumentWriter};
pub use error::MethodError;
pub use spec::{ArgumentKind, ArgumentSpec, MethodArguments, MethodId, MethodSpec};
pub use table::{Method, access, basic, channel, confirm, connection, exchange, queue, tx};

#[cfg(test)]
mod tests;

//! Content headers: how large a message's body is, and its properties.

mod error;
mod header;

pub use error::ContentError;
pub use header::ContentHeader;
pub(crate) use header::encode_header_frame;

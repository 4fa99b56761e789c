//! The real binary, run as a test wants it.

mod error;
mod forebay;
mod usage;

pub use error::ServerError;
pub use forebay::{ForebayServer, ServerOptions};
pub use usage::ProcessUsage;

//! The shell of the broker: everything that touches the machine.
//!
//! The crates below this one decide; this one owns sockets, files, signals, the clock and the log, and
//! carries bytes and time to them. [`Server`] starts and stops a whole broker, [`Server::in_memory`] one
//! inside a test or a program, with nothing on disk; [`settings`] is what can be chosen.
//!
//! ```text
//!  listener ── accepts ──> connection ── commands ──> vhost (engine behind a lock)
//!                              ^                        │
//!                              └──── mailbox <─ effects ┘
//! ```

mod background;
mod bench;
mod buffers;
pub mod client;
mod clock;
pub mod command_line;
mod connection;
mod data_directory;
mod demo;
mod http;
mod http_client;
mod in_memory;
mod in_parallel;
mod lease_worker;
mod lifecycle;
mod limits;
mod listener;
mod logging;
mod mailbox;
mod node;
mod polite_storage;
mod randomness;
mod server;
pub mod settings;
mod signals;
mod socket;
mod statistics;
mod storage;
pub mod users;
mod vhost;

pub use data_directory::DataDirectoryError;
pub use in_memory::InMemoryServer;
pub use listener::ListenError;
pub use server::{Ending, Server, StartError};
pub use settings::Settings;

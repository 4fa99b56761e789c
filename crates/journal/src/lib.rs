//! A durable log of opaque entries.
//!
//! The crate knows no queues, no messages and no protocol. It keeps numbered byte strings in order, says when
//! they are durable, and gives them back: as a replay after a restart, or one by one in any order.
//!
//! - [`Journal`], [`Writer`] and [`Reader`] are the contract; their comments are the specification.
//! - [`FileJournal`] keeps it in files: one write and one sync for all that waits.
//! - [`MemoryJournal`] keeps it in memory, step by step, with faults on demand. It is for tests, for simulation, and
//!   for brokers that leave nothing on disk.
//!
//! - [`Survey`] looks at all of a log in files that nobody has claimed, and puts a damaged one in order.
//! - [`storage`] is the file layer, with a real one and one in memory that can lose power.
//!
//! Nothing here is asynchronous. Engines that need threads bring their own, and report through
//! [`Writer::watch`].

mod compaction;
pub mod conformance;
mod contract;
mod error;
mod file;
mod log_name;
mod memory;
mod position;
pub mod storage;

pub use compaction::{Compaction, Kept, SegmentName, Survivor};
pub use contract::{
    Claim, Description, Entry, Help, InFlight, Journal, ReadDone, Reader, Room, SegmentInfo, State, Wake,
    Writer,
};
pub use error::{BodyError, ClaimError, DestroyError, LostReason, ReadError};
pub use file::survey::{
    ClaimFinding, CompactedFinding, Flaw, FlawKind, Foresight, SegmentFinding, SpareFinding, Survey, TornTail,
};
pub use file::{FileJournal, FileOptions, Pending, Step};
pub use log_name::{LogName, LogNameError};
pub use memory::MemoryJournal;
pub use position::{Cursor, CursorError, Epoch, Lsn};

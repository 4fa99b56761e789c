//! The loop around the core.
//!
//! Commands go into the [`broker`], its records into the journal's open entry, and its effects wait until the
//! position that they name is durable. Beside that the engine keeps what the core knows only by place: the bodies of
//! messages. It writes checkpoints, and it begins with recovery.
//!
//! The engine runs on one thread at a time and never waits: it has no threads, no clock and no sockets of its own.
//! Whoever owns it, the server or a simulator, calls [`Engine::submit`] with what clients ask, [`Engine::pump`]
//! when the journal wakes it, [`Engine::tick`] at its deadlines, and runs its [`CheckpointJob`]s and [`LoadJob`]s.

mod bodies;
mod checkpoint;
mod commit;
mod counts;
pub mod doctor;
mod engine;
mod link;
mod loads;
mod lone;
mod parked;
mod pins;
mod reads;
mod recovery;
mod release;
mod room;
mod run;
mod settings;
mod undeliverable;

pub use checkpoint::{CheckpointDamage, CheckpointDone, CheckpointError, CheckpointJob};
pub use counts::Counts;
pub use engine::{Engine, Health};
pub use link::{Outlet, Released};
pub use loads::{LoadDone, LoadJob};
pub use pins::{Pin, PinnedBody, Pins, PinsFound, PinsJob};
pub use recovery::{OpenError, Recovery};
pub use room::StorageRoom;
pub use settings::Settings;

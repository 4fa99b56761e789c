//! The production broker on simulated time, disk and connections, from one seed.
//!
//! One thread, one order of events, one generator: whatever a seed shows, it shows again. What is real: the core, the
//! journal's file engine, the engine around them, the rules of AMQP. What is simulated: the clock, the disk
//! ([`journal::storage::MemoryStorage`]), the sockets, the clients, and the bad things of [`faults`].
//!
//! - [`world`] is the loop; `world/` has a file for each part of the world.
//! - [`client`] is who uses the broker over AMQP, [`requester`] who uses it as HTTP does, [`operations`] what they do.
//! - [`checkers`] watch, one for each promise; [`model`] says what should be.

pub mod agenda;
pub mod checkers;
pub mod client;
pub mod faults;
pub mod hunt;
pub mod limits;
pub mod line;
pub mod messages;
pub mod model;
pub mod node;
pub mod operations;
pub mod plan;
pub mod random;
pub mod requester;
pub mod shrink;
pub mod trace;
pub mod violation;
pub mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use violation::Violation;
pub use world::{Counts, World};

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The broken promise, if there is one.
    pub violation: Option<Violation>,
    /// What was done.
    pub counts: Counts,
    /// A number for all that was logged: equal for equal runs.
    pub digest: u64,
    /// The last lines of the log.
    pub tail: Vec<String>,
}

/// Runs the world of a seed, without what is left out. `echo` prints its log as it comes.
#[must_use]
pub fn run(seed: u64, limits: &limits::Limits, echo: bool) -> Outcome {
    let _guard = tracing::subscriber::set_default(trace::Capture);
    let mut world = World::new(seed, limits, echo);
    // What the core takes for impossible it asserts: a panic is a finding like any other.
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ended {
        Ok(ended) => ended.err(),
        Err(panic) => Some(Violation::new("no panic", text_of(&*panic))),
    };
    let trace = world.trace();
    Outcome { violation, counts: world.counts(), digest: trace.digest(), tail: trace.tail() }
}

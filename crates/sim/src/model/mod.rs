//! Reference models: the same things done again, so simply that they can be trusted.

mod journaled;
mod queue;
mod tasks;

pub use journaled::{Journaled, JournaledMessage, JournaledQueue};
pub use queue::{Answer, Ending, Operation, QueueModel};
pub use tasks::{JournaledEnd, JournaledLease, JournaledTask, JournaledTasks, LeaseSettlement};

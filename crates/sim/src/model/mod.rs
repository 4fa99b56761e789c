//! Reference models: the same things done again, so simply that they can be trusted.

mod journaled;
mod queue;
mod task;
mod tasks;

pub use journaled::{Journaled, JournaledMessage, JournaledQueue};
pub use queue::{Answer, Ending, Operation, QueueModel};
pub use task::{JournaledEnd, JournaledLease, JournaledTask, LeaseSettlement};
pub use tasks::JournaledTasks;

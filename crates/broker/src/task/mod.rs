//! Tasks: messages that are followed from their acceptance to their result.

mod id;
mod view;

pub use id::{BrokenId, LeaseId, TaskId};
pub use view::{Grant, QueueReport, Settlement, TaskDelivery, TaskState, TaskView};

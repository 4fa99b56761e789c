//! Tasks: messages that are followed from their acceptance to their result.
//!
//! A task is a message in a task queue and a record beside it. `record` is what the journal keeps, `apply` turns it into
//! state for live and recovery alike, `tasks` finds a task by its id, message, lease, key or time. What can happen to a
//! task lies in `operations/task/`.

mod apply;
pub(crate) mod back_off;
mod id;
mod life;
mod options;
mod random;
mod record;
mod reply;
mod row;
mod task_queue;
mod tasks;
mod view;

pub use id::{BrokenId, LeaseId, TaskId};
pub use life::SettlementKind;
pub(crate) use life::{Holder, Phase, Run, Task, Watcher};
pub(crate) use options::TaskOptions;
pub(crate) use random::RandomStream;
pub use random::Seed;
pub use record::{SettledBy, TaskAccepted, TaskEnded, TaskKey, TaskLeased, TaskReturned};
pub(crate) use record::{read_ids, write_ids, write_result};
pub(crate) use reply::{ReplyOutcome, Retry};
pub(crate) use row::{SealedTask, result_in_row};
pub(crate) use task_queue::{Pull, TASK_QUEUE, TaskQueue};
pub(crate) use tasks::{Relay, Tasks};
pub use view::{Grant, QueueReport, Settlement, TaskDelivery, TaskState, TaskView};

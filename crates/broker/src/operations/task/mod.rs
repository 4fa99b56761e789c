//! What can happen to a task: one file each.

mod accept;
pub(crate) mod alarm;
mod answer;
mod cancel;
mod deliver;
mod end;
mod enqueue;
mod lease;
mod reattach;
mod relay;
mod return_to_queue;
mod settle_delivery;
mod settle_lease;
mod watch;

pub(crate) use accept::Origin;
pub(crate) use deliver::Handover;
pub(crate) use end::Ending;
pub use return_to_queue::CRASHES_MAX;
pub(crate) use settle_delivery::Back;

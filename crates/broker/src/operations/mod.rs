//! What a broker does: one file for each thing that can happen.

mod binding;
mod connection;
mod consume;
pub(crate) mod dispatch;
mod exchange;
mod get;
mod prefetch;
pub(crate) mod publish;
pub(crate) mod queue;
mod session;
mod settle;
mod standalone;
pub(crate) mod task;
mod transaction;

pub use task::CRASHES_MAX;

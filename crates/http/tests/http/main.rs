//! Conversations over HTTP with a whole engine behind them.

mod calls;
mod connections;
mod events;
mod leases;
mod queues;
mod refusals;
mod support;
mod tasks;

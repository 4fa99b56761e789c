//! The client against a scripted broker, and against the real one.

mod calls;
mod heartbeats;
mod publishing;
mod real_broker;
#[allow(dead_code, reason = "shared with the tests of the worker, which need more of it")]
mod scripted_broker;
mod server;

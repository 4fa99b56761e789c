//! The client against a scripted broker, and against the real one.

mod calls;
mod heartbeats;
mod publishing;
mod real_broker;
mod scripted_broker;
mod server;

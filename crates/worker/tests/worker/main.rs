//! The worker against a scripted broker, and against the real one.

mod connection;
mod once;
mod proxy;
mod real_broker;
mod results;
#[allow(dead_code, reason = "shared with the tests of the client, which need more of it")]
#[path = "../../../client/tests/client/scripted_broker.rs"]
mod scripted_broker;
#[path = "../../../client/tests/client/server.rs"]
mod server;
mod support;
mod tasks;

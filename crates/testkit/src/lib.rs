//! What tests and chores need to talk to a broker and to run one.
//!
//! [`amqp`] is a blocking AMQP 0-9-1 client that does exactly what it is told, mistakes included, so that a test reads
//! like a conversation between two peers. [`http`] is the like for HTTP/1.1. [`server`] runs the real `forebay` binary: start, kill, terminate, restart
//! on the same data and ports, and how much processor time and memory it took.
//!
//! Nothing here is for production: waiting is blocking, and what a test does not expect is an error.

pub mod amqp;
pub mod http;
pub mod server;

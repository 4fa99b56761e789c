//! The rules of AMQP 0-9-1 as a state machine without I/O: bytes come in, commands for a vhost come out; effects
//! come in, bytes come out.
//!
//! A [`Connection`] is one client. Whoever owns the socket hands it what was read, submits the commands that it
//! appends, hands it the effects that come back, sends the bytes that it appends, and calls it again when its
//! [`Connection::next_deadline`] has come. It reads no clock, draws no randomness and opens no file: the time and a
//! source of random numbers are handed in.
//!
//! The way of a publish: `receive` finds whole frames in the read buffer, the channel's rules make a
//! [`broker::Operation::Publish`] whose envelope is a slice of that buffer, and its confirm comes back as
//! [`broker::Effect::Confirmed`], which [`Connection::effect`] writes as `basic.ack`.
//!
//! Two kinds of errors, by where they take their place. What a *channel's* method did wrong goes through the broker
//! as [`broker::Operation::Refuse`], so that answers to earlier methods leave before the close. What is wrong with
//! the *bytes* ends the connection at once.

mod channel;
mod channels;
mod client;
mod connection;
mod content;
mod effects;
mod error;
mod expiration;
mod handshake;
mod heartbeat;
mod methods;
mod names;
mod negotiation;
mod phase;
mod publish;
mod refusal;
mod reply_to;
mod request;
mod sasl;
mod settings;
mod task;

pub use amqp_wire::ReplyCode;
pub use client::{Capabilities, Client};
pub use connection::{Connection, Status};
pub use handshake::{Login, LoginRefused, OpenRefusal, Request};
pub use sasl::Password;
pub use settings::Settings;

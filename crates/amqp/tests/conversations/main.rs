//! Connections as conversations: what a client sends, what the broker is asked, what the client reads.

mod support;

mod channels;
mod chunks;
mod closing;
mod consuming;
mod exercise;
mod frames;
mod greeting;
mod methods;
mod publishing;

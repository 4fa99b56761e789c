//! The real binary, talked to by scripted clients.

mod back_pressure;
mod command_line;
mod durability;
mod http;
mod start_and_stop;
mod support;

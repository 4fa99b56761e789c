//! The real binary, talked to by scripted clients.

mod back_pressure;
mod call_and_work;
mod command_line;
mod crash_table;
mod demo;
mod doctor;
mod durability;
mod http;
mod start_and_stop;
mod support;

//! The real binary, talked to by scripted clients.

mod back_pressure;
mod call_and_work;
mod command_line;
mod crash_table;
mod demo;
mod doctor;
mod durability;
mod failing_disk;
mod full_disk;
mod http;
mod start_and_stop;
mod support;

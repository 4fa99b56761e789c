//! What a peer may send: bytes to frames, frames to methods, headers and tables, and all of it back.
//!
//! The corpus beside it is replayed by the tests of `amqp-wire`, which share the checks.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/amqp-wire/tests/wire/exercise.rs"]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::exercise(bytes));

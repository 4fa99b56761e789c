//! What a client may send: bytes to a connection, with a broker that says yes to everything.
//!
//! The tests of `amqp` share the exercise.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/amqp/tests/conversations/exercise.rs"]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::exercise(bytes));

//! What a journal or a checkpoint may hold: bytes to records and rows, and those to a state of the core.
//!
//! The corpus beside it is replayed by the tests of `broker`, which share the checks.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../choices.rs"]
mod choices;
#[path = "../../crates/broker/tests/core/records.rs"]
mod records;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/rows.rs"]
mod rows;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/world.rs"]
mod world;

fuzz_target!(|bytes: &[u8]| records::check_bytes(bytes));

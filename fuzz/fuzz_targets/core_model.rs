//! What may happen to the core: bytes to a conversation of several clients, with restarts, against a simple model.
//!
//! The corpus beside it is replayed by the tests of `broker`, which share the model.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../choices.rs"]
mod choices;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/model/mod.rs"]
mod model;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/rows.rs"]
mod rows;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/world.rs"]
mod world;

fuzz_target!(|bytes: &[u8]| model::check_bytes(bytes));

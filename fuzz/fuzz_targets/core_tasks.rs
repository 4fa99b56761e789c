//! What may happen to tasks: bytes to events, with lost workers, waits and restarts, and then all has to come to an end.
//!
//! The corpus beside it is replayed by the tests of `broker`, which share the run.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../choices.rs"]
mod choices;
#[path = "../../crates/broker/tests/core/task_model/mod.rs"]
mod task_model;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/rows.rs"]
mod rows;
#[allow(dead_code, reason = "the tests of `broker` use all of it")]
#[path = "../../crates/broker/tests/core/world.rs"]
mod world;

fuzz_target!(|bytes: &[u8]| task_model::check_bytes(bytes));

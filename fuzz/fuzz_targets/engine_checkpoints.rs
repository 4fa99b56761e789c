//! What a disk may do to checkpoints: bytes to messages and to damage of the files, and then the engine is opened.
//!
//! The corpus beside it is replayed by the tests of `engine`, which share the checks.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the tests of `engine` use all of it")]
#[path = "../../crates/engine/tests/engine/bench.rs"]
mod bench;
#[path = "../../crates/engine/tests/engine/checkpoint_images.rs"]
mod checkpoint_images;
#[path = "../choices.rs"]
mod choices;

fuzz_target!(|bytes: &[u8]| checkpoint_images::check_bytes(bytes));

//! What a disk may do to a journal: bytes to a log and to damage of its files, and then it is claimed.
//!
//! The corpus beside it is replayed by the tests of `journal`, which share the checks.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../choices.rs"]
mod choices;
#[path = "../../crates/journal/tests/journal/images/mod.rs"]
mod images;

fuzz_target!(|bytes: &[u8]| images::check_bytes(bytes));

//! Checkpoints that are damaged at random, and those that were worth keeping.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::checkpoint_images::check_bytes;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_checkpoint_costs_a_longer_replay_or_the_start(
        bytes in proptest::collection::vec(any::<u8>(), 1..60),
    ) {
        check_bytes(&bytes);
    }
}

/// What the fuzz target `engine_checkpoints` has found worth keeping.
#[test]
fn the_fuzz_corpus_costs_a_longer_replay_or_the_start() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/engine_checkpoints");
    for entry in fs::read_dir(corpus).expect("the corpus is part of the repository") {
        check_bytes(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

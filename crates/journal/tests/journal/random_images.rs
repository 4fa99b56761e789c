//! Logs that are written and damaged at random, and those that were worth keeping.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::images::check_bytes;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_log_starts_with_all_that_is_there_or_names_the_place(
        bytes in proptest::collection::vec(any::<u8>(), 1..120),
    ) {
        check_bytes(&bytes);
    }
}

/// What the fuzz target `journal_recovery` has found worth keeping.
#[test]
fn the_fuzz_corpus_starts_or_names_the_place() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/journal_recovery");
    for entry in fs::read_dir(corpus).expect("the corpus is part of the repository") {
        check_bytes(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

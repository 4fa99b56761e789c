//! Journal entries and rows that nobody wrote.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::records::check_bytes;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
        check_bytes(&bytes);
    }
}

/// What the fuzz target `core_records` has found worth keeping.
#[test]
fn the_fuzz_corpus_is_read_or_refused() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/core_records");
    for entry in fs::read_dir(corpus).expect("the corpus is part of the repository") {
        check_bytes(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

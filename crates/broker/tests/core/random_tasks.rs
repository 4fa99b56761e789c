//! Random events against what must never happen to tasks.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::choices::Choices;
use crate::task_model::{Event, check, check_bytes};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tasks_end_once_and_survive_as_they_are(
        events in prop::collection::vec(any::<[u8; 16]>(), 1..60),
    ) {
        check(events.iter().map(|bytes| Event::decode(&mut Choices::new(bytes))).collect());
    }
}

/// What the fuzz target `core_tasks` has found worth keeping.
#[test]
fn the_fuzz_corpus_of_tasks_ends_well() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/core_tasks");
    for entry in fs::read_dir(corpus).expect("the corpus is part of the repository") {
        check_bytes(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

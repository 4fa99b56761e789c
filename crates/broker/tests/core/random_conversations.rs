//! Random conversations against the model.

use std::fs;
use std::path::PathBuf;

use broker::{Operation, Outcome};
use proptest::prelude::*;

use crate::choices::Choices;
use crate::model::{FIRST_CLIENTS, Publication, Restart, Step, check, check_bytes};
use crate::world::name;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_conversations_agree_with_the_model_and_with_their_replay(
        steps in proptest::collection::vec(any::<[u8; 8]>(), 1..150),
    ) {
        let steps: Vec<Step> = steps.iter().map(|bytes| Step::decode(&mut Choices::new(bytes))).collect();
        check(&steps, 7);
    }
}

/// What the fuzz target `core_model` has found worth keeping.
#[test]
fn the_fuzz_corpus_agrees_with_the_model() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/core_model");
    for entry in fs::read_dir(corpus).expect("the corpus is part of the repository") {
        check_bytes(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

/// Enough of the same to cross the borders of pages, and of volatile blocks.
#[test]
fn a_long_conversation_agrees_with_the_model_and_with_its_replay() {
    let [confirming, transactional, other] = FIRST_CLIENTS;
    let queues = ["durable", "other"];
    let get =
        |by, number: usize| Step::Ask(by, Operation::Get { queue: name(queues[number % 2]), no_ack: false });
    let acknowledge =
        |by, which, multiple| Step::Settle { by, which, multiple, outcome: Outcome::Acknowledged };
    let mut steps = Vec::new();
    for round in 0..3usize {
        for number in 0..600 {
            let publication = Publication {
                exchange: "",
                key: queues[number % 2].to_owned(),
                headers: field_table::Table::default(),
                persistent: number % 5 != 0,
                mandatory: false,
            };
            steps.push(Step::Publish(confirming, publication));
            if number % 3 == 0 {
                steps.push(get(other, number));
            }
            if number % 97 == 0 {
                steps.push(acknowledge(other, number as u8 % 250, round == 1));
            }
        }
        steps.push(Step::Seal);
        steps.push(Step::Ask(other, Operation::Recover));
        steps.extend((0..1000).map(|number| get(transactional, number)));
        steps.push(acknowledge(transactional, 253, true));
        let end = if round == 1 { Operation::Rollback } else { Operation::Commit };
        steps.push(Step::Ask(transactional, end));
        steps.push(Step::Seal);
        steps.push(Step::Ask(transactional, Operation::OpenSession));
        steps.push(Step::Restart([Restart::FromJournal, Restart::FromCheckpoint, Restart::Cleanly][round]));
    }
    check(&steps, 1000);
}

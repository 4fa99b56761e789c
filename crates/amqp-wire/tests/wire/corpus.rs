//! The fuzz target's corpus, replayed by every test run.

use std::fs;
use std::path::PathBuf;

use amqp_wire::{FrameScanner, Method, PropertiesView, Table, TableError};

use crate::exercise::exercise;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/wire_codec")
}

fn seed(name: &str) -> Vec<u8> {
    fs::read(corpus().join(name)).expect("the corpus is part of the repository")
}

#[test]
fn the_fuzz_corpus_holds() {
    for entry in fs::read_dir(corpus()).expect("the corpus is part of the repository") {
        exercise(&fs::read(entry.expect("a readable folder").path()).expect("a readable file"));
    }
}

#[test]
fn the_handshake_of_a_client_is_read() {
    let bytes = seed("client-handshake");
    let mut scanner = FrameScanner::new(&bytes, 8192);
    let mut names = Vec::new();
    while let Some(frame) = scanner.next_frame().expect("no damage") {
        names.push(Method::decode(scanner.payload(&frame)).map_or("none", |method| method.name()));
    }
    let expected = ["connection.start-ok", "connection.tune-ok", "connection.open", "channel.open", "none"];
    assert_eq!(names, expected);
    assert_eq!(scanner.consumed_bytes(), bytes.len());
}

#[test]
fn every_letter_and_every_property_is_read() {
    let table = Table::decode(&seed("table-with-every-letter")).expect("no damage");
    let letters: Vec<u8> = table.iter().map(|(_, value)| value.letter()).collect();
    assert_eq!(letters, b"tbBsuIillfdDSxATFV");

    let properties = seed("every-property");
    let view = PropertiesView::parse(&properties).expect("no damage");
    assert_eq!(view.flags().iter().count(), 14);
    assert_eq!(view.decode_headers(), Ok(table));
}

#[test]
fn nesting_ends_where_the_seeds_say() {
    assert!(Table::decode(&seed("nested-to-the-limit")).is_ok());
    assert_eq!(Table::decode(&seed("nested-over-the-limit")), Err(TableError::TooDeep));
}

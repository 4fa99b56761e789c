//! Checkpoints that were damaged in any way: the start finds the same messages, or is refused.
//!
//! Shared with the fuzz target `engine_checkpoints`.

use std::io::IoSlice;

use journal::storage::Storage;

use crate::bench::{Bench, ack, body, declare, get, publish};
use crate::choices::Choices;

const FOLDER: &str = "checkpoints/vhost";

/// Publishes and acknowledges, ends, and damages the files of the checkpoints, all as these bytes say.
pub(crate) fn check_bytes(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut bench = Bench::new();
    let connection = bench.connect();
    bench.ask(connection, [declare("q", true)]);
    bench.settle();
    let (count, acknowledged) = (usize::from(choices.byte() % 40), choices.byte() % 40);
    let mut left: Vec<String> = Vec::new();
    for number in 1..=count {
        bench.ask(connection, [publish("q", body(number, 20))]);
        left.push(format!("m{number}"));
        if number <= usize::from(acknowledged) {
            bench.ask(connection, [get("q"), ack(number as u64, false)]);
            left.remove(0);
        }
        bench.settle();
    }
    match choices.flag() {
        true => bench.close(),
        false => bench.journal.crash(0),
    }
    // Each manifest with all the files that it needs.
    let checkpoints: Vec<Vec<String>> =
        files(&bench, "manifest-").iter().map(|name| needs(&bench, name)).collect();
    let mut damaged = Vec::new();
    for _ in 0..choices.byte() % 4 {
        damaged.extend(damage(&bench, &mut choices));
    }
    match bench.reopen() {
        // Then no more is lost than messages of this queue, and nobody gets any.
        Ok(()) if bench.engine.halted_queues().next().is_some() => {
            let is_whole = |files: &Vec<String>| !files.iter().any(|file| damaged.contains(file));
            assert!(!checkpoints.iter().any(is_whole), "after damage of {damaged:?}");
        }
        Ok(()) => {
            let found = bench.drain_queue("q");
            let found: Vec<&str> = found.iter().map(|message| message.trim_end_matches(" again")).collect();
            assert_eq!(found, left, "after damage of {damaged:?}");
        }
        Err(error) => {
            let is_whole = |files: &Vec<String>| !files.iter().any(|file| damaged.contains(file));
            assert!(!checkpoints.iter().any(is_whole), "{error}, after damage of {damaged:?}");
        }
    }
}

fn files(bench: &Bench, beginning: &str) -> Vec<String> {
    let names = bench.storage.list(FOLDER).expect("the folder is there");
    names.into_iter().filter(|name| name.starts_with(beginning)).collect()
}

/// The files that a checkpoint is made of.
fn needs(bench: &Bench, manifest: &str) -> Vec<String> {
    let file = bench.storage.open(&format!("{FOLDER}/{manifest}")).expect("it is listed");
    let mut text = vec![0; file.len().expect("it has a size") as usize];
    file.read_exact_at(&mut text, 0).expect("it can be read");
    let text = String::from_utf8(text).expect("a manifest is text");
    let runs =
        text.lines().filter_map(|line| line.strip_prefix("run ")?.split(' ').next()?.parse::<u64>().ok());
    runs.map(|number| format!("rows-{number:016x}")).chain([manifest.to_owned()]).collect()
}

/// Damages a file, and says which.
fn damage(bench: &Bench, choices: &mut Choices<'_>) -> Option<String> {
    let names = files(bench, "");
    let name = names.get(usize::from(choices.byte()) % names.len().max(1))?.clone();
    let path = format!("{FOLDER}/{name}");
    let file = bench.storage.open(&path).expect("it is listed");
    let bytes = file.len().expect("it has a size");
    let at = (u64::from(choices.byte()) << 8 | u64::from(choices.byte())) % bytes.max(1);
    let done = match choices.byte() % 8 {
        0 => bench.storage.remove(&path),
        1 => file.set_len(at),
        2 => file.set_len(bytes + 1 + at),
        3 => file.write_all_at(&mut [IoSlice::new(&choices.rest(40))], at),
        4 => file.set_len(0).and_then(|()| file.write_all_at(&mut [IoSlice::new(&choices.rest(200))], 0)),
        _ => {
            let mut byte = [0];
            let read = file.read_exact_at(&mut byte, at);
            byte[0] ^= 1 << (choices.byte() % 8);
            read.and_then(|()| file.write_all_at(&mut [IoSlice::new(&byte)], at))
        }
    };
    // Of an empty file there is nothing to flip.
    done.ok().map(|()| name)
}

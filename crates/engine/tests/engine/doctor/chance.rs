//! Damage by chance: several at once, anywhere.

use std::io::IoSlice;

use engine::doctor::{make_aside, repair};
use journal::storage::{MemoryStorage, Storage};

use super::directory::{BLOCK, Directory, NOW, flip, options};
use crate::bench::log;

/// A small generator: a seed tells the whole story.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

#[test]
fn whatever_is_damaged_a_repair_leaves_a_directory_that_starts() {
    let healthy = Directory::new();
    let mut refused = 0;
    for seed in 0..150 {
        let directory = healthy.fork();
        let mut random = Random(seed);
        let places = 1 + random.below(4);
        let story: Vec<String> = (0..places).map(|_| inflict(&directory, &mut random)).collect();
        let intact = intact_messages(&healthy, &directory);
        refused += u32::from(check(&directory, &intact, &format!("seed {seed}: {story:?}")));
    }
    assert!((30..140).contains(&refused), "{refused}");
}

/// The messages whose entries are as they were written.
fn intact_messages(healthy: &Directory, damaged: &Directory) -> Vec<String> {
    let (before, now) = (healthy.content(), damaged.content());
    let messages = (1..=3).chain(100..=105).map(|number| format!("m{number}"));
    let is_intact = |message: &String| {
        let (path, offset) = healthy.entry_of(message);
        let file = format!("journal/{path}");
        let entry = offset as usize..(offset + BLOCK) as usize;
        now.get(&file).is_some_and(|bytes| bytes.get(entry.clone()) == Some(&before[&file][entry]))
    };
    messages.filter(is_intact).collect()
}

/// Whether a start was refused before the repair.
fn check(directory: &Directory, intact: &[String], story: &str) -> bool {
    let examination = directory.examine();
    let start = directory.fork().serve();
    assert_eq!(
        examination.start.is_err(),
        start.is_err(),
        "{story}: {:?} {:?}",
        examination.start,
        start.err()
    );
    let refused = start.is_err();
    drop(start);

    let files = directory.files();
    repair(&files, &log(), &make_aside(&files).unwrap(), options(), NOW)
        .unwrap_or_else(|error| panic!("{story}: {error}"));
    let after = directory.examine();
    assert!(after.is_sound() && after.losses.is_none(), "{story}: {:?}", after.damages);
    assert_eq!(after.census, examination.census, "{story}");
    let mut served = directory.serve().unwrap_or_else(|error| panic!("{story}: {error}"));
    let mut all_found = Vec::new();
    for queue in &after.census.queues {
        let found = served.drain(&queue.name.to_string());
        assert_eq!(found.len() as u64, queue.ready, "{story}");
        let numbers: Vec<u32> = found.iter().map(|message| message[1..].parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{story}: {numbers:?}");
        all_found.extend(found);
    }
    let missing: Vec<&String> = intact.iter().filter(|message| !all_found.contains(message)).collect();
    assert!(missing.is_empty(), "{story}: {missing:?} can be read and is lost");
    refused
}

/// One damage, anywhere but in spare files, which mean nothing.
fn inflict(directory: &Directory, random: &mut Random) -> String {
    let content = directory.content();
    let mut names: Vec<&String> = content.keys().filter(|name| !name.ends_with(".spare")).collect();
    names.sort();
    let name = names[random.below(names.len() as u64) as usize];
    let (storage, path): (&MemoryStorage, &str) = match name.strip_prefix("journal/") {
        Some(path) => (&directory.journal, path),
        None => (&directory.data, name),
    };
    // What is there in truth, not in the room that segments have for more.
    let used = content[name].iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
    let offset = random.below(used);
    match random.below(8) {
        0 => {
            storage.remove(path).unwrap();
            format!("{name} removed")
        }
        1 => {
            storage.open(path).unwrap().set_len(offset).unwrap();
            format!("{name} cut at {offset}")
        }
        2 => {
            let block = vec![0; 4096.min(content[name].len() - offset as usize)];
            storage.open(path).unwrap().write_all_at(&mut [IoSlice::new(&block)], offset).unwrap();
            format!("{name} zeros at {offset}")
        }
        _ => {
            flip(storage, path, offset);
            format!("{name} flipped at {offset}")
        }
    }
}

//! Every kind of damage: what an examination says of it, what a repair leaves, and what an engine then finds.

mod chance;
mod directory;

use std::io::IoSlice;

use engine::doctor::{DoctorError, Examination, Meaning, make_aside, repair};
use field_table::ShortString;
use journal::storage::{MemoryStorage, Storage};

use self::directory::{BLOCK, Directory, NOW, flip, options, read};
use crate::bench::{declare, log};

/// A kind of damage, and what becomes of it.
struct Case {
    name: &'static str,
    inflict: fn(&Directory),
    /// Whether a start is refused.
    refused: bool,
    /// What each damage means.
    meanings: &'static [&'static str],
    /// What is missing after the repair.
    lost: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { name: "nothing", inflict: |_| (), refused: false, meanings: &[], lost: &[] },
    Case {
        name: "CLAIM",
        inflict: |directory| flip(&directory.journal, "vhost/CLAIM", 20),
        refused: true,
        meanings: &["journal/vhost/CLAIM: start refused"],
        lost: &[],
    },
    Case {
        name: "CLAIM is gone",
        inflict: |directory| directory.journal.remove("vhost/CLAIM").unwrap(),
        refused: true,
        meanings: &["journal/vhost/CLAIM: start refused"],
        lost: &[],
    },
    Case {
        name: "header of an old segment",
        inflict: |directory| flip(&directory.journal, &directory.entry_of("m2").0, 20),
        refused: true,
        meanings: &["journal/vhost/0000000000000001.seg: start refused"],
        lost: &[],
    },
    Case {
        name: "payload of a body in an old segment",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m2");
            flip(&directory.journal, &path, offset + 300);
        },
        refused: false,
        meanings: &["journal/vhost/0000000000000001.seg: 1 of keep"],
        lost: &["m2"],
    },
    Case {
        name: "header of an entry in an old segment",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m2");
            flip(&directory.journal, &path, offset + 30);
        },
        refused: false,
        meanings: &["journal/vhost/0000000000000001.seg: 1 of keep"],
        lost: &["m2"],
    },
    Case {
        name: "header of the first entry of an old segment",
        inflict: |directory| flip(&directory.journal, &directory.entry_of("m2").0, BLOCK + 30),
        refused: false,
        meanings: &[],
        lost: &[],
    },
    Case {
        name: "an old segment is gone",
        inflict: |directory| directory.journal.remove(&directory.entry_of("m2").0).unwrap(),
        refused: false,
        meanings: &["journal/: 3 of keep"],
        lost: &["m1", "m2", "m3"],
    },
    Case {
        name: "an old segment is cut",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m3");
            directory.journal.open(&path).unwrap().set_len(offset + 100).unwrap();
        },
        refused: true,
        meanings: &[
            "journal/vhost/0000000000000001.seg: start refused",
            "journal/vhost/0000000000000001.seg: 1 of keep",
        ],
        lost: &["m3"],
    },
    Case {
        name: "payload of an entry that is replayed",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m102");
            flip(&directory.journal, &path, offset + 500);
        },
        refused: true,
        meanings: &["journal/TAIL: start refused"],
        lost: &["m102"],
    },
    Case {
        name: "header of an entry that is replayed",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m102");
            flip(&directory.journal, &path, offset + 30);
        },
        refused: true,
        meanings: &["journal/TAIL: start refused"],
        lost: &["m102"],
    },
    Case {
        name: "headers of two entries that are replayed, with one between them",
        inflict: |directory| {
            for message in ["m101", "m103"] {
                let (path, offset) = directory.entry_of(message);
                flip(&directory.journal, &path, offset + 1);
            }
        },
        refused: true,
        meanings: &["journal/TAIL: start refused", "journal/TAIL: start refused"],
        lost: &["m101", "m103"],
    },
    Case {
        name: "a torn tail",
        inflict: |directory| {
            let (path, offset) = directory.entry_of("m105");
            flip(&directory.journal, &path, offset + 500);
        },
        refused: false,
        meanings: &[],
        lost: &["m105"],
    },
    Case {
        name: "the newest run",
        inflict: |directory| flip(&directory.data, &directory.checkpoint("rows-", 0), 30),
        refused: false,
        meanings: &["newest run: passed over"],
        lost: &[],
    },
    Case {
        name: "the newest manifest",
        inflict: |directory| flip(&directory.data, &directory.checkpoint("manifest-", 0), 30),
        refused: false,
        meanings: &["newest manifest: passed over"],
        lost: &[],
    },
    Case {
        name: "the older manifest",
        inflict: |directory| flip(&directory.data, &directory.checkpoint("manifest-", 1), 30),
        refused: false,
        meanings: &["older manifest: no fallback"],
        lost: &[],
    },
    Case {
        name: "the oldest run, where the page of a queue is",
        inflict: |directory| {
            let (path, offset) = directory.page_of(1);
            flip(&directory.data, &path, offset);
        },
        refused: false,
        meanings: &["older run: lost the places of messages 0 to 511 of queue number 1"],
        lost: &[],
    },
    Case {
        name: "the filters of the oldest run",
        inflict: |directory| {
            let (path, offset) = directory.filters();
            flip(&directory.data, &path, offset);
        },
        refused: true,
        meanings: &["older run: lost no row, since filters can be made anew"],
        lost: &[],
    },
    Case {
        name: "the newest manifest, and an entry behind the older",
        inflict: |directory| {
            flip(&directory.data, &directory.checkpoint("manifest-", 0), 30);
            let (path, offset) = directory.entry_of("m104");
            flip(&directory.journal, &path, offset + 500);
        },
        refused: true,
        meanings: &["journal/TAIL: start refused", "newest manifest: passed over"],
        lost: &["m104"],
    },
];

/// A short form of what a damage means.
fn describe(directory: &Directory, examination: &Examination) -> Vec<String> {
    let newest_run = directory.checkpoint("rows-", 0);
    let tail = format!("journal/{}", directory.entry_of("m100").0);
    let describe = |damage: &engine::doctor::Damage| {
        let file = match damage.file.as_str() {
            file if file == newest_run => "newest run".to_owned(),
            file if file.starts_with("checkpoints/vhost/rows-") => "older run".to_owned(),
            file if file == directory.checkpoint("manifest-", 0) => "newest manifest".to_owned(),
            file if file == directory.checkpoint("manifest-", 1) => "older manifest".to_owned(),
            file if file == tail => "journal/TAIL".to_owned(),
            file => file.to_owned(),
        };
        let meaning = match &damage.meaning {
            Meaning::StartRefused => "start refused".to_owned(),
            Meaning::Bodies { messages, .. } => {
                let each = messages.iter().map(|count| format!("{} of {}", count.messages, count.queue));
                each.collect::<Vec<_>>().join(", ")
            }
            Meaning::CheckpointPassedOver => "passed over".to_owned(),
            Meaning::FallbackLost => "no fallback".to_owned(),
            Meaning::Rows { about, .. } => format!("lost {}", about.as_deref().unwrap_or("changes")),
            other => format!("{other:?}"),
        };
        format!("{file}: {meaning}")
    };
    examination.damages.iter().map(describe).collect()
}

fn check(healthy: &Directory, case: &Case) {
    let Case { name, inflict, refused, meanings, lost } = case;
    let directory = healthy.fork();
    inflict(&directory);
    let damaged = directory.content();
    let examination = directory.examine();
    assert_eq!(directory.content(), damaged, "{name}: an examination changes nothing");
    assert_eq!(describe(healthy, &examination), *meanings, "{name}");
    assert_eq!(examination.start.is_err(), *refused, "{name}: {:?}", examination.start);
    assert_eq!(directory.fork().serve().is_err(), *refused, "{name}: the engine agrees");
    check_repair(&directory, case);
    if !refused && meanings.is_empty() {
        // Nothing to repair: a start by itself leaves the same.
        check_content(&directory, name, lost);
    }
}

fn check_repair(directory: &Directory, case: &Case) {
    let Case { name, lost, .. } = case;
    let (before, repaired) = (directory.content(), directory.fork());
    let files = repaired.files();
    let aside = make_aside(&files).unwrap();
    assert_eq!(aside, "damaged/1", "{name}");
    let done = repair(&files, &log(), &aside, options(), NOW).unwrap();
    let after = repaired.content();
    for copy in &done.aside {
        let original = copy.strip_prefix("damaged/1/").unwrap();
        assert_eq!(after[copy], before[original], "{name}: {copy}");
    }
    for (file, bytes) in &before {
        let is_kept = after.get(file) == Some(bytes) || after.contains_key(&format!("damaged/1/{file}"));
        assert!(is_kept, "{name}: {file} was changed, and no copy was put aside");
    }
    let promised = directory.examine().census;
    let examination = repaired.examine();
    assert!(examination.is_sound(), "{name}: {:?}", examination.damages);
    assert_eq!(examination.census, promised, "{name}: what an examination counts is what a repair leaves");
    assert!(examination.losses.is_none(), "{name}: {:?}", examination.losses);
    check_content(&repaired, name, lost);
    // And a later checkpoint and start do not stumble over the place.
    let mut life = repaired.serve().unwrap();
    for number in 200..260 {
        life.publish_number("q", number);
    }
    drop(life);
    assert!(repaired.examine().is_sound(), "{name}: {:?}", repaired.examine().damages);
    assert_eq!(repaired.serve().unwrap().drain("q").last().unwrap(), "m259", "{name}");
}

fn check_content(directory: &Directory, name: &str, lost: &[&str]) {
    let mut life = directory.fork().serve().unwrap();
    let left = |numbers: std::ops::RangeInclusive<usize>| {
        let all = numbers.map(|number| format!("m{number}"));
        all.filter(|message| !lost.contains(&message.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(life.drain("keep"), left(1..=3), "{name}");
    // Acks behind the newest checkpoint are whole as well: none of those that are done comes back.
    assert_eq!(life.drain("q"), left(100..=105), "{name}");
}

#[test]
fn every_damage_is_named_and_repaired_and_what_is_whole_stays() {
    let healthy = Directory::new();
    CASES.iter().for_each(|case| check(&healthy, case));
}

#[test]
fn without_any_checkpoint_what_the_journal_still_has_is_put_together() {
    let directory = Directory::new();
    for nth in [0, 1] {
        flip(&directory.data, &directory.checkpoint("manifest-", nth), 30);
    }
    let examination = directory.examine();
    assert!(examination.start.is_err());
    let before = directory.content();
    let refusal = directory.serve().err().unwrap();
    assert!(refusal.to_string().contains("no checkpoint is whole: checkpoints/vhost/manifest-"), "{refusal}");
    assert_eq!(directory.content(), before, "a start that is refused takes nothing away");
    let of_checkpoints =
        examination.damages.iter().filter(|damage| damage.meaning == Meaning::CheckpointsLost);
    assert_eq!(of_checkpoints.count(), 2);
    // Segment 1 is there for the bodies in it, so the journal has its beginning, and a hole behind it.
    assert_eq!(examination.losses.begins_at, None);
    assert_eq!(examination.losses.entries.len(), 1, "{:?}", examination.losses.entries);
    mend(&directory);
    let mut life = directory.serve().unwrap();
    assert_eq!(life.drain("keep"), ["m1", "m2", "m3"]);
    let left = life.drain("q");
    // Acks lay in the hole: what they settled comes again. But all that nobody had is there, in order and at the end.
    assert_eq!(left[left.len() - 6..], ["m100", "m101", "m102", "m103", "m104", "m105"]);
    let numbers: Vec<u32> = left.iter().map(|message| message[1..].parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn a_journal_that_is_gone_leaves_the_queues_that_the_checkpoint_knows() {
    let mut directory = Directory::new();
    directory.journal = MemoryStorage::new();
    let examination = directory.examine();
    assert!(examination.start.is_err() && !examination.is_sound());
    let kept = examination.losses.messages.iter().filter(|message| message.queue == *b"keep".as_slice());
    assert_eq!(kept.count(), 3);
    mend(&directory);
    let mut life = directory.serve().unwrap();
    assert!(life.drain("keep").is_empty());
    life.publish_number("q", 7);
    assert_eq!(life.drain("q"), ["m7"]);
}

#[test]
fn a_queue_whose_declaration_is_lost_keeps_its_messages() {
    let directory = Directory { journal: MemoryStorage::new(), data: MemoryStorage::new() };
    let mut life = directory.serve().unwrap();
    life.ask(declare("first", true));
    life.ask(declare("lost", true));
    (1..=3).for_each(|number| life.publish_number("lost", number));
    drop(life);
    let (path, offset) = directory.entry_of("m1");
    // The entry before it is the declaration.
    flip(&directory.journal, &path, offset - BLOCK + 66);
    let examination = directory.examine();
    assert_eq!(examination.losses.conclusions.stand_ins, [ShortString::from_static("lost")]);
    mend(&directory);
    assert_eq!(directory.serve().unwrap().drain("lost"), ["m1", "m2", "m3"]);
}

#[test]
fn a_lost_message_shows_what_can_still_be_seen_of_it() {
    let directory = Directory::new();
    let (path, offset) = directory.entry_of("m2");
    flip(&directory.journal, &path, offset + 700);
    let examination = directory.examine();
    let [Some(glimpse)] = &examination.losses.glimpses[..] else { panic!("{:?}", examination.losses) };
    assert!(glimpse.body().starts_with(b"m2.."));
    // And in the tail, the records.
    let (path, offset) = directory.entry_of("m103");
    flip(&directory.journal, &path, offset + 700);
    let examination = directory.examine();
    let remains = examination.damages.iter().find_map(|damage| damage.remains.as_ref()).unwrap();
    assert_eq!(remains.published.iter().collect::<Vec<_>>(), [(&ShortString::from_static("q"), &1)]);
    assert_eq!(examination.losses.conclusions.missing_at_most[b"q".as_slice()], 1);
}

#[test]
fn a_repair_that_is_cut_short_anywhere_is_done_again() {
    let healthy = Directory::new();
    let (path, offset) = healthy.entry_of("m102");
    flip(&healthy.journal, &path, offset + 500);
    flip(&healthy.journal, &healthy.entry_of("m2").0, 20);
    flip(&healthy.journal, "vhost/CLAIM", 20);
    flip(&healthy.data, &healthy.checkpoint("manifest-", 0), 30);
    let mut cuts = 0;
    for operations in 0.. {
        let directory = healthy.fork();
        sync_all(&directory);
        // The power of both disks goes; which operation comes first on which is the code's.
        directory.data.cut_power_after(operations);
        directory.journal.cut_power_after(operations);
        let files = directory.files();
        let outcome = make_aside(&files).and_then(|aside| repair(&files, &log(), &aside, options(), NOW));
        let is_cut = outcome.is_err();
        directory.data.crash(operations);
        directory.journal.crash(operations);
        if is_cut {
            cuts += 1;
            mend(&directory);
        }
        let mut life = directory.serve().unwrap();
        assert_eq!(life.drain("keep"), ["m1", "m2", "m3"], "{operations}");
        assert_eq!(life.drain("q"), ["m100", "m101", "m103", "m104", "m105"], "{operations}");
        if !is_cut {
            break;
        }
    }
    assert!(cuts > 20, "{cuts}");
}

/// Makes all that is there survive a crash.
fn sync_all(directory: &Directory) {
    for storage in [&directory.journal, &directory.data] {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in storage.list(&folder).unwrap() {
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match storage.open(&path) {
                    Ok(file) => file.sync_all().unwrap(),
                    Err(_) => folders.push(path),
                }
            }
            storage.sync_directory(&folder).unwrap();
        }
    }
}

/// Repairs, and looks whether it helped.
fn mend(directory: &Directory) {
    let files = directory.files();
    repair(&files, &log(), &make_aside(&files).unwrap(), options(), NOW).unwrap();
    assert!(directory.examine().is_sound());
}

#[test]
fn what_a_newer_version_wrote_is_not_repaired_away() {
    let rewrite = |storage: &MemoryStorage, path: &str, change: fn(&mut Vec<u8>)| {
        let mut bytes = read(storage, path);
        change(&mut bytes);
        storage.open(path).unwrap().write_all_at(&mut [IoSlice::new(&bytes)], 0).unwrap();
    };
    let newer_claim = |claim: &mut Vec<u8>| {
        claim[8] = 2;
        let crc = crc32c::crc32c(&claim[..60]);
        claim[60..].copy_from_slice(&crc.to_le_bytes());
    };
    let newer_manifest = |manifest: &mut Vec<u8>| {
        let text =
            String::from_utf8(manifest.clone()).unwrap().replace("forebay-manifest 3", "forebay-manifest 4");
        let above = text.rsplit_once("crc32c ").unwrap().0;
        *manifest = format!("{above}crc32c {:08x}\n", crc32c::crc32c(above.as_bytes())).into_bytes();
    };
    let healthy = Directory::new();
    let (claim, manifest) = (healthy.fork(), healthy.fork());
    rewrite(&claim.journal, "vhost/CLAIM", newer_claim);
    rewrite(&manifest.data, &manifest.checkpoint("manifest-", 0), newer_manifest);
    for directory in [claim, manifest] {
        let before = directory.content();
        let files = directory.files();
        let refusal = repair(&files, &log(), "damaged", options(), NOW).unwrap_err();
        assert!(matches!(refusal, DoctorError::NewerFormat { .. }), "{refusal}");
        assert_eq!(directory.content(), before);
    }
}

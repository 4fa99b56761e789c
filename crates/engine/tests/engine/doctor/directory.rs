//! A data directory in memory, with something of everything that can be damaged.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use broker::{Effect, Timestamp};
use engine::OpenError;
use engine::doctor::{DataFiles, Examination, examine};
use journal::FileOptions;
use journal::storage::{MemoryStorage, Storage, copy};

use crate::bench::{ack, body, declare, get, log, publish, short};
use crate::served::Served;

pub(super) const NOW: Timestamp = Timestamp(5000);
pub(super) const BLOCK: u64 = 4096;

/// Small segments; and as in life, no two processes draw the same seed.
pub(super) fn options() -> FileOptions {
    static SEED: AtomicU64 = AtomicU64::new(0x5eed);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    FileOptions { segment_bytes_first: 32 << 10, segment_bytes_max: 64 << 10, ..FileOptions::new(seed) }
}

/// A data directory in memory.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) journal: MemoryStorage,
    pub(super) data: MemoryStorage,
}

impl Served {
    pub(super) fn publish_number(&mut self, queue: &str, number: usize) {
        self.ask(publish(queue, body(number, 1000)));
    }

    /// Takes all messages of a queue, in order, without acknowledging them.
    pub(super) fn drain(&mut self, queue: &str) -> Vec<String> {
        let taken = self.take_all(queue);
        taken.iter().for_each(|message| assert_eq!(message.body().len(), 1000));
        taken.iter().map(|message| short(message.body())).collect()
    }
}

impl Directory {
    /// `keep` has m1 to m3, whose bodies lie in a sealed segment that nothing else needs; `q` has m100 to m105, which only
    /// the replay knows. In between many messages came and went, and checkpoints were written.
    pub(super) fn new() -> Self {
        let directory = Self { journal: MemoryStorage::new(), data: MemoryStorage::new() };
        let mut life = directory.serve().unwrap();
        for queue in ["keep", "q"] {
            life.ask(declare(queue, true));
        }
        (1..=3).for_each(|number| life.publish_number("keep", number));
        let mut number = 10;
        while life.engine.counts().checkpoints < 3 {
            life.publish_number("q", number);
            let Effect::Got { delivery_tag, .. } = life.ask(get("q")) else { panic!("it is there") };
            life.tell(ack(delivery_tag, false));
            number += 1;
        }
        (100..=105).for_each(|number| life.publish_number("q", number));
        assert_eq!(life.engine.counts().checkpoints, 3);
        // Segments are freed by a thread of the journal's own; a kill before it would leave them all.
        let began = Instant::now();
        while directory.segment_bytes() > life.engine.counts().journal_bytes {
            assert!(began.elapsed() < Duration::from_secs(20), "trimmed segments are not freed");
            thread::sleep(Duration::from_millis(1));
        }
        drop(life);
        directory
    }

    /// Bytes of all segments that are there.
    fn segment_bytes(&self) -> u64 {
        let names = self.journal.list("vhost").unwrap();
        let segments = names.iter().filter(|name| name.ends_with(".seg"));
        // One that is listed may be gone by now.
        let bytes = |name: &String| self.journal.open(&format!("vhost/{name}")).and_then(|file| file.len());
        segments.map(|name| bytes(name).unwrap_or(0)).sum()
    }

    pub(super) fn fork(&self) -> Self {
        let fork = Self { journal: MemoryStorage::new(), data: MemoryStorage::new() };
        fork_folder(&self.journal, &fork.journal, "");
        fork_folder(&self.data, &fork.data, "");
        fork
    }

    pub(super) fn serve(&self) -> Result<Served, OpenError> {
        Served::open(Arc::new(self.journal.clone()), Arc::new(self.data.clone()), &log(), options(), NOW)
    }

    pub(super) fn files(&self) -> DataFiles {
        DataFiles {
            data: Arc::new(self.data.clone()),
            journal: Arc::new(self.journal.clone()),
            journal_folder: "journal".to_owned(),
        }
    }

    pub(super) fn examine(&self) -> Examination {
        examine(&self.files(), &log()).unwrap()
    }

    /// All bytes of all files.
    pub(super) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let mut content = BTreeMap::new();
        read_folder(&self.journal, "", "journal/", &mut content);
        read_folder(&self.data, "", "", &mut content);
        content
    }

    /// Where the entry begins that has this message: (file, offset).
    pub(super) fn entry_of(&self, message: &str) -> (String, u64) {
        let pattern = format!("{message}..");
        for name in self.journal.list("vhost").unwrap().iter().filter(|name| name.ends_with(".seg")) {
            let path = format!("vhost/{name}");
            let bytes = read(&self.journal, &path);
            let found = bytes.windows(pattern.len()).position(|window| window == pattern.as_bytes());
            if let Some(at) = found {
                return (path, at as u64 / BLOCK * BLOCK);
            }
        }
        panic!("{message} is nowhere");
    }

    /// Where the page with the first messages of a queue lies in the oldest run: (file, offset).
    pub(super) fn page_of(&self, queue: u64) -> (String, u64) {
        let names = self.data.list("checkpoints/vhost").unwrap();
        let oldest = names.iter().find(|name| name.starts_with("rows-")).unwrap();
        let path = format!("checkpoints/vhost/{oldest}");
        let key = [&b"P"[..], &queue.to_be_bytes(), &[0], &0u64.to_be_bytes()].concat();
        let bytes = read(&self.data, &path);
        let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
        (path, (at + key.len()) as u64)
    }

    /// Where the checksum of the filters of the oldest run is: (file, offset).
    pub(super) fn filters(&self) -> (String, u64) {
        let names = self.data.list("checkpoints/vhost").unwrap();
        let oldest = names.iter().find(|name| name.starts_with("rows-")).unwrap();
        let path = format!("checkpoints/vhost/{oldest}");
        let bytes = read(&self.data, &path);
        let footer = bytes[bytes.len() - 44..].first_chunk().unwrap();
        (path, u64::from_be_bytes(*footer) + 4)
    }

    pub(super) fn checkpoint(&self, kind: &str, nth_from_newest: usize) -> String {
        let names = self.data.list("checkpoints/vhost").unwrap();
        let of_kind = names.iter().filter(|name| name.starts_with(kind));
        format!("checkpoints/vhost/{}", of_kind.rev().nth(nth_from_newest).unwrap())
    }
}

fn fork_folder(from: &MemoryStorage, to: &MemoryStorage, folder: &str) {
    for name in from.list(folder).unwrap() {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if from.list(&path).is_ok() {
            to.create_directory(&path).unwrap();
            fork_folder(from, to, &path);
        } else {
            copy(from, &path, to, &path).unwrap();
        }
    }
}

fn read_folder(storage: &MemoryStorage, folder: &str, prefix: &str, content: &mut BTreeMap<String, Vec<u8>>) {
    for name in storage.list(folder).unwrap() {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        match storage.list(&path) {
            Ok(_) => read_folder(storage, &path, prefix, content),
            Err(_) => drop(content.insert(format!("{prefix}{path}"), read(storage, &path))),
        }
    }
}

pub(super) fn read(storage: &MemoryStorage, path: &str) -> Vec<u8> {
    let file = storage.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

pub(super) fn flip(storage: &MemoryStorage, path: &str, offset: u64) {
    let file = storage.open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&mut [IoSlice::new(&[byte[0] ^ 0x10])], offset).unwrap();
}

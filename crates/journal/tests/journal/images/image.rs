//! The files of a log as plain bytes, and the entries in them as docs/journal-format.md draws them.

use std::collections::BTreeMap;
use std::io::IoSlice;

use journal::storage::{MemoryStorage, Storage};

pub(crate) const BLOCK: usize = 4096;
pub(crate) const HEADER: usize = 64;
pub(crate) const CLAIM: &str = "log/CLAIM";

/// The files of a log by their paths.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// An entry, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) file: String,
    pub(crate) offset: usize,
    pub(crate) lsn: u64,
    pub(crate) durable: u64,
    /// Header and payload.
    pub(crate) bytes: usize,
    payload_crc: u32,
}

impl Image {
    pub(crate) fn of(storage: &MemoryStorage) -> Image {
        let mut files = BTreeMap::new();
        for name in storage.list("log").expect("the folder is there") {
            let path = format!("log/{name}");
            let file = storage.open(&path).expect("it is there");
            let mut bytes = vec![0; file.len().expect("it has a size") as usize];
            file.read_exact_at(&mut bytes, 0).expect("it can be read");
            files.insert(path, bytes);
        }
        Image { files }
    }

    /// A disk with these files, all of them synced.
    pub(crate) fn to_storage(&self) -> MemoryStorage {
        let storage = MemoryStorage::new();
        let written = || {
            storage.create_directory("log")?;
            storage.sync_directory("")?;
            for (path, bytes) in &self.files {
                let file = storage.create(path)?;
                file.write_all_at(&mut [IoSlice::new(bytes)], 0)?;
                file.sync_all()?;
            }
            storage.sync_directory("log")
        };
        written().expect("a disk without faults");
        storage
    }

    /// The segments by their names, in order.
    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = (&String, &Vec<u8>)> {
        self.files.iter().filter(|(path, _)| is_segment(path))
    }

    /// The entries of a whole image, segment by segment, each up to where the next one does not follow.
    pub(crate) fn entries(&self) -> Vec<Placed> {
        let mut entries: Vec<Placed> = Vec::new();
        for (path, bytes) in self.segments() {
            let (mut offset, before) = (BLOCK, entries.len());
            while let Some(placed) = placed(path, bytes, offset) {
                let follows = entries[before..].last().is_none_or(|last| placed.lsn == last.lsn + 1);
                let payload = &bytes[offset + HEADER..offset + placed.bytes];
                if !follows || crc32c::crc32c(payload) != placed.payload_crc {
                    break;
                }
                offset += placed.bytes.next_multiple_of(BLOCK);
                entries.push(placed);
            }
        }
        entries
    }
}

/// Whether it is the name of a segment: 16 hexadecimal digits.
pub(crate) fn is_segment(path: &str) -> bool {
    path.strip_prefix("log/")
        .and_then(|name| name.strip_suffix(".seg"))
        .is_some_and(|digits| digits.len() == 16)
}

/// The entry whose header is at this place, if it is a header of this segment.
pub(crate) fn placed(path: &str, file: &[u8], offset: usize) -> Option<Placed> {
    let header = file.get(offset..offset + HEADER)?;
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let short = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let is_ours = header[..4] == *b"fbjE" && number(8) == u64::from_le_bytes(file[16..24].try_into().ok()?);
    let is_whole = crc32c::crc32c(&header[..60]) == short(60);
    let bytes = HEADER + short(48) as usize;
    let fits = offset + bytes.next_multiple_of(BLOCK) <= file.len();
    let is_here = path.ends_with(&format!("{:016x}.seg", number(16)));
    let (file, payload_crc) = (path.to_owned(), short(56));
    let found = Placed { file, offset, lsn: number(24), durable: number(40), bytes, payload_crc };
    (is_ours && is_whole && is_here && fits).then_some(found)
}

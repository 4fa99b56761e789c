//! What a claim has to find in an image, worked out from what it was before.

use std::collections::BTreeSet;

use journal::Lsn;

use super::image::{BLOCK, CLAIM, HEADER, Image, Placed, is_segment, placed};

/// What is known of an image, with the eyes of one who knows what it was.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The end of the entries that follow each other unharmed, from the segment of the cursor on.
    end: u64,
    /// The highest position that CLAIM or a header that can be read tells to be durable.
    durable: u64,
    from: u64,
    /// CLAIM and all headers of segments are as they were.
    is_framed: bool,
    /// The claim must not be refused.
    pub(crate) has_to_start: bool,
    /// Whether a segment is not there any more.
    pub(crate) is_segment_missing: bool,
    /// Files that an error may name: those that were changed, and the neighbours of those that are gone.
    pub(crate) touched: BTreeSet<String>,
}

impl Verdict {
    pub(crate) fn of(original: &Image, edited: &Image, from: Lsn) -> Verdict {
        let entries = original.entries();
        let is_whole = |entry: &Placed| same(original, edited, &entry.file, entry.offset, entry.bytes);
        let start = start(&entries, edited, from);
        let in_chain =
            || entries.iter().filter(|entry| start.as_ref().is_some_and(|start| entry.file >= *start));
        let mut end = in_chain().next().map_or(0, |entry| entry.lsn - 1);
        for entry in in_chain() {
            if entry.lsn != end + 1 || !is_whole(entry) {
                break;
            }
            end = entry.lsn;
        }
        let frame = |path: &String| match is_segment(path) {
            true => {
                same(original, edited, path, 0, HEADER)
                    && original.files.get(path).map(Vec::len) == edited.files.get(path).map(Vec::len)
            }
            false => path != CLAIM,
        };
        let is_claim_whole = same(original, edited, CLAIM, 0, HEADER);
        // Without a segment too, it is a log that nobody has ever claimed.
        let is_new = !edited.files.contains_key(CLAIM) && edited.segments().next().is_none();
        let is_framed =
            (is_claim_whole || is_new) && edited.files.keys().all(|path| path == CLAIM || frame(path));
        let claimed = original.files.get(CLAIM).filter(|_| is_claim_whole);
        let claimed =
            claimed.map_or(0, |claim| u64::from_le_bytes(claim[32..40].try_into().expect("8 bytes")));
        let durable = known_durable(edited).max(claimed);
        let is_in_front_whole = entries.iter().filter(|entry| entry.lsn <= end).all(is_whole);
        let oldest = entries.first().filter(|entry| entry.lsn > 1);
        let missing: Vec<&String> = original
            .segments()
            .map(|(path, _)| path)
            .filter(|path| !edited.files.contains_key(*path))
            .collect();
        Verdict {
            has_to_start: is_framed
                && durable.max(from.0) <= end
                && is_in_front_whole
                && oldest.is_none_or(is_whole)
                && original.segments().next().map(|(path, _)| path)
                    == edited.segments().next().map(|(path, _)| path),
            end,
            durable,
            from: from.0,
            is_framed,
            is_segment_missing: !missing.is_empty(),
            touched: touched(original, edited, &missing),
        }
    }

    /// A claim was granted, with this tail.
    pub(crate) fn check_tail(&self, tail: u64) {
        assert!(
            self.is_framed,
            "CLAIM or the header of a segment is damaged, and it was not noticed: {self:?}"
        );
        assert!(
            self.durable <= tail,
            "entry {} was durable, and the log ends at {tail}: {self:?}",
            self.durable
        );
        assert!(self.from <= tail, "the log ends at {tail}, in front of its checkpoint: {self:?}");
        assert_eq!(tail, self.end, "all that is there, and nothing else: {self:?}");
    }
}

/// Whether these bytes of a file are as they were.
fn same(original: &Image, edited: &Image, path: &str, at: usize, bytes: usize) -> bool {
    let piece =
        |image: &Image| image.files.get(path).and_then(|file| Some(file.get(at..at + bytes)?.to_vec()));
    piece(original).is_some_and(|before| piece(edited) == Some(before))
}

/// The segment that the entry behind the cursor is in, or the first one that is there. What holds no whole entry is behind
/// the end.
fn start(entries: &[Placed], edited: &Image, from: Lsn) -> Option<String> {
    let present =
        || entries.iter().filter(|entry| entry.offset == BLOCK && edited.files.contains_key(&entry.file));
    let early = present().rfind(|first| first.lsn <= from.0 + 1).or_else(|| present().next());
    early.map(|first| first.file.clone())
}

/// What the headers tell that can be read at all, wherever they stand now.
fn known_durable(edited: &Image) -> u64 {
    let headers = edited.segments().flat_map(|(path, bytes)| {
        let offsets = (BLOCK..bytes.len()).step_by(BLOCK);
        offsets.filter_map(|offset| placed(path, bytes, offset)).map(|entry| entry.durable)
    });
    headers.max().unwrap_or(0)
}

fn touched(original: &Image, edited: &Image, missing: &[&String]) -> BTreeSet<String> {
    let all: BTreeSet<&String> = original.files.keys().chain(edited.files.keys()).collect();
    let changed = all.into_iter().filter(|path| original.files.get(*path) != edited.files.get(*path));
    let mut touched: BTreeSet<String> = changed.cloned().collect();
    if edited.segments().next().is_none() {
        touched.insert("log".to_owned());
    }
    for path in missing {
        let segments = || edited.segments().map(|(path, _)| path);
        touched.extend(segments().rfind(|other| other < path).cloned());
        touched.extend(segments().find(|other| other > path).cloned());
    }
    touched
}

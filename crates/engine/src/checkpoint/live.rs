//! Which entries of the journal hold what still lives.

use std::iter::Peekable;
use std::sync::Arc;

use broker::Lsn;
use journal::SegmentInfo;

use crate::run::{IndexEntry, Run};

/// A block with rows that name entries, by its place in the indexes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockPlace<'a> {
    pub(crate) run: &'a Arc<Run>,
    /// Its place in the run's index.
    pub(crate) at: usize,
}

/// The entries that the living rows of runs name, the newest run first, and `beside` them, as ascending inclusive ranges.
///
/// Indexes say of each block the lowest and the highest entry. A block is looked at, by `entries_in`, only if there are whole segments
/// between the two that may be free; what is in a segment that is needed anyway, nobody has to know. Of rows that share a block, those count
/// as well that a newer run hides, until they are merged: nobody looks for the newest of each.
pub(crate) fn live_entries(
    runs: &[Arc<Run>],
    segments: &[SegmentInfo],
    beside: impl IntoIterator<Item = Lsn>,
    mut entries_in: impl FnMut(BlockPlace<'_>) -> Option<Vec<Lsn>>,
) -> Vec<(Lsn, Lsn)> {
    let mut live: Vec<(Lsn, Lsn)> = beside.into_iter().map(|lsn| (lsn, lsn)).collect();
    let segment_of = |lsn: Lsn| segments.partition_point(|segment| segment.last.0 < lsn.0);
    for (place, (lowest, highest)) in newest_alone(runs).chain(shared_blocks(runs)) {
        let is_wide = segment_of(highest) > segment_of(lowest) + 1;
        match is_wide.then(|| entries_in(place)).flatten() {
            Some(entries) => live.extend(entries.into_iter().map(|lsn| (lsn, lsn))),
            None => live.push((lowest, highest)),
        }
    }
    joined(live)
}

/// The blocks of several rows that name entries.
fn shared_blocks(runs: &[Arc<Run>]) -> impl Iterator<Item = (BlockPlace<'_>, (Lsn, Lsn))> {
    runs.iter().flat_map(|run| {
        let shared = run.index.entries().enumerate().filter(|(_, entry)| !entry.is_alone());
        shared.filter_map(move |(at, entry)| Some((BlockPlace { run, at }, entry.entries?)))
    })
}

/// The rows that stand alone and name entries, of each key the newest.
fn newest_alone(runs: &[Arc<Run>]) -> impl Iterator<Item = (BlockPlace<'_>, (Lsn, Lsn))> {
    let alone = |run: &'_ Arc<Run>| -> Vec<usize> {
        run.index.entries().enumerate().filter(|(_, entry)| entry.is_alone()).map(|(at, _)| at).collect()
    };
    let mut sources: Vec<(&Arc<Run>, Peekable<std::vec::IntoIter<usize>>)> =
        runs.iter().map(|run| (run, alone(run).into_iter().peekable())).collect();
    let next = move || -> Option<(BlockPlace<'_>, IndexEntry<'_>)> {
        let heads = sources.iter_mut().filter_map(|(run, places)| {
            let at = *places.peek()?;
            Some((BlockPlace { run, at }, run.index.entry(at)))
        });
        // Of equal keys the first is the newest.
        let (place, entry) = heads.min_by_key(|(_, entry)| entry.first_key)?;
        for (run, places) in &mut sources {
            places.next_if(|at| run.index.entry(*at).first_key == entry.first_key);
        }
        Some((place, entry))
    };
    std::iter::from_fn(next).filter_map(|(place, entry)| Some((place, entry.entries?)))
}

/// Ranges in order, with what touches joined.
fn joined(mut ranges: Vec<(Lsn, Lsn)>) -> Vec<(Lsn, Lsn)> {
    ranges.sort_unstable();
    let mut joined: Vec<(Lsn, Lsn)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.next() => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RowToWrite, RunWriter};

    /// A run of rows that stand alone: key, and the entries that it names; gone without.
    fn run(number: u64, rows: &[(&str, Option<(u64, u64)>)]) -> Arc<Run> {
        let mut writer = RunWriter::new(|_: &[u8]| Ok::<(), ()>(())).unwrap();
        for (key, entries) in rows {
            let entries = entries.map(|(lowest, highest)| (Lsn(lowest), Lsn(highest)));
            let value = entries.map(|_| &b"page"[..]);
            writer.row(RowToWrite { key: key.as_bytes(), value, entries, is_alone: true }).unwrap();
        }
        writer.finish(number).unwrap()
    }

    fn segments() -> Vec<SegmentInfo> {
        let segment = |number: u64| SegmentInfo {
            number,
            first: journal::Lsn(number * 10),
            last: journal::Lsn(number * 10 + 9),
            bytes: 1,
            sealed: true,
            compacted: None,
            is_compactable: true,
        };
        (1..10).map(segment).collect()
    }

    fn live(runs: &[Arc<Run>], beside: &[u64], read: &mut Vec<String>) -> Vec<(u64, u64)> {
        let beside = beside.iter().copied().map(Lsn);
        let entries_in = |place: BlockPlace<'_>| {
            let entry = place.run.index.entry(place.at);
            read.push(String::from_utf8(entry.first_key.to_vec()).unwrap());
            let (lowest, highest) = entry.entries?;
            Some(vec![lowest, highest])
        };
        let ranges = live_entries(runs, &segments(), beside, entries_in);
        ranges.into_iter().map(|(first, last)| (first.0, last.0)).collect()
    }

    #[test]
    fn the_newest_row_of_a_key_counts() {
        let old = run(1, &[("a", Some((11, 12))), ("b", Some((21, 22))), ("c", Some((31, 31)))]);
        let new = run(2, &[("a", None), ("b", Some((25, 25)))]);
        assert_eq!(live(&[new, old], &[], &mut Vec::new()), [(25, 25), (31, 31)]);
    }

    #[test]
    fn rows_that_share_a_block_count_together_and_are_read_if_they_are_far_apart() {
        let run = |number, rows: &[(&str, u64)]| {
            let mut writer = RunWriter::new(|_: &[u8]| Ok::<(), ()>(())).unwrap();
            for (key, entry) in rows {
                let entries = Some((Lsn(*entry), Lsn(*entry)));
                let (key, value) = (key.as_bytes(), Some(&b"slot"[..]));
                writer.row(RowToWrite { key, value, entries, is_alone: false }).unwrap();
            }
            writer.finish(number).unwrap()
        };
        let mut read = Vec::new();
        let runs = [run(2, &[("Sa", 31), ("Sb", 55)]), run(1, &[("Sa", 12), ("Sc", 15), ("Td", 90)])];
        assert_eq!(live(&runs, &[], &mut read), [(12, 15), (31, 31), (55, 55), (90, 90)]);
        assert_eq!(read, ["Sa"], "of the newer run");
    }

    #[test]
    fn only_a_row_with_whole_segments_inside_is_read() {
        let run = run(1, &[("near", Some((15, 29))), ("wide", Some((31, 55)))]);
        let mut read = Vec::new();
        assert_eq!(live(&[run], &[30, 90], &mut read), [(15, 31), (55, 55), (90, 90)]);
        assert_eq!(read, ["wide"]);
    }
}

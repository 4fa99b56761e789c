//! The list of a log's segments and compacted files, and where in them an entry is.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::compacted::Compacted;
use crate::{Lsn, SegmentInfo, SegmentName};

/// One entry per this many bytes of a segment has its offset in memory; the others are found by walking from
/// there.
///
/// 16 bytes of memory each: 16 KB for a segment of 64 MB, once it was written or read from since the claim.
const SAMPLE_BYTES: u64 = 64 * 1024;

/// Where one entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) lsn: Lsn,
    pub(super) offset: u64,
}

/// The sparse index of one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Notes an entry behind all that were noted; most are left out.
    pub(super) fn note(&mut self, lsn: Lsn, offset: u64) {
        if self.0.last().is_none_or(|last| offset >= last.offset + SAMPLE_BYTES) {
            self.0.push(Sample { lsn, offset });
        }
    }

    /// The nearest noted entry at or in front of `lsn`.
    pub(super) fn nearest(&self, lsn: Lsn) -> Option<Sample> {
        let behind = self.0.partition_point(|sample| sample.lsn <= lsn);
        Some(self.0[behind.checked_sub(1)?])
    }
}

/// One segment that holds entries.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) first: Lsn,
    /// The last entry; may be above it where trimming left a gap behind the segment.
    pub(super) last: Lsn,
    /// `None` until an old segment is read from.
    pub(super) samples: Option<Samples>,
    /// Something that had to be kept could not be read: it is not compacted.
    pub(super) is_spoiled: bool,
}

/// The files that hold entries: segments in ascending order, the last being the active one, and compacted files.
#[derive(Debug, Default)]
pub(super) struct SegmentTable {
    segments: Vec<Segment>,
    compacted: Vec<Arc<Compacted>>,
    /// No replay ever begins below this entry.
    trimmed_before: Lsn,
}

/// Where to look for an entry.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// In a segment.
    Segment {
        number: u64,
        bytes: u64,
        /// An entry at or in front of the wanted one; `None` if the segment has no index yet.
        nearest: Option<Sample>,
    },
    /// In a compacted file, if it was kept.
    Compacted(Arc<Compacted>),
}

impl Location {
    pub(super) fn name(&self) -> SegmentName {
        match self {
            Location::Segment { number, .. } => SegmentName::Written(*number),
            Location::Compacted(compacted) => SegmentName::Compacted(compacted.number),
        }
    }
}

/// A file that is no longer of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
}

impl Segment {
    pub(super) fn condemned(&self) -> Condemned {
        Condemned { name: SegmentName::Written(self.number), bytes: self.bytes }
    }
}

impl SegmentTable {
    pub(super) fn new(segments: Vec<Segment>, compacted: Vec<Arc<Compacted>>) -> SegmentTable {
        debug_assert!(segments.is_sorted_by_key(|segment| segment.number));
        SegmentTable { segments, compacted, trimmed_before: Lsn::ZERO }
    }

    /// Notes an entry that was written to the segment `number`, which is or becomes the last.
    pub(super) fn note(&mut self, number: u64, bytes: u64, lsn: Lsn, offset: u64) {
        if self.segments.last().is_none_or(|last| last.number != number) {
            let samples = Some(Samples::default());
            let segment = Segment { number, bytes, first: lsn, last: lsn, samples, is_spoiled: false };
            self.segments.push(segment);
        }
        if let Some(active) = self.segments.last_mut() {
            active.last = lsn;
            active.samples.get_or_insert_default().note(lsn, offset);
        }
    }

    pub(super) fn locate(&self, lsn: Lsn) -> Option<Location> {
        // Most of what is read lies in segments; there are few other files, and none has an entry of theirs.
        let compacted = self.compacted.iter().find(|compacted| compacted.has(lsn));
        if let Some(compacted) = compacted {
            return Some(Location::Compacted(compacted.clone()));
        }
        let behind = self.segments.partition_point(|segment| segment.first <= lsn);
        let segment = &self.segments[behind.checked_sub(1)?];
        let nearest = segment.samples.as_ref().and_then(|samples| samples.nearest(lsn));
        let location = Location::Segment { number: segment.number, bytes: segment.bytes, nearest };
        (lsn <= segment.last).then_some(location)
    }

    /// Keeps the index that was built for an old segment.
    pub(super) fn set_samples(&mut self, number: u64, samples: Samples) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            segment.samples.get_or_insert(samples);
        }
    }

    pub(super) fn contains(&self, name: SegmentName) -> bool {
        match name {
            SegmentName::Written(number) => {
                self.segments.binary_search_by_key(&number, |segment| segment.number).is_ok()
            }
            SegmentName::Compacted(number) => {
                self.compacted.iter().any(|compacted| compacted.number == number)
            }
        }
    }

    /// Takes the files out that hold nothing at or above `before` and nothing in `keep`, which is in
    /// ascending order.
    ///
    /// The segment that holds `durable` stays: without it nothing would tell where the log ends.
    pub(super) fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>], durable: Lsn) -> Vec<Condemned> {
        self.trimmed_before = self.trimmed_before.max(before);
        let is_kept = |first: Lsn, last: Lsn| {
            let at = keep.partition_point(|kept| *kept.end() < first);
            keep.get(at).is_some_and(|kept| *kept.start() <= last)
        };
        let is_free = |segment: &mut Segment| {
            segment.last < before && segment.last < durable && !is_kept(segment.first, segment.last)
        };
        // The active segment holds the durable position or is behind it, so it never matches.
        let segments = self.segments.extract_if(.., is_free).map(|segment| segment.condemned());
        let mut freed: Vec<Condemned> = segments.collect();
        let is_free = |compacted: &mut Arc<Compacted>| {
            let entries = compacted.entries();
            compacted.last() < before && !entries.iter().any(|range| is_kept(*range.start(), *range.end()))
        };
        freed.extend(self.compacted.extract_if(.., is_free).map(|compacted| compacted.condemned()));
        freed
    }

    /// Takes out those of `sources` that are still there and may be replaced, and puts in what was kept of them.
    pub(super) fn replace(
        &mut self,
        sources: &[SegmentName],
        kept: Option<Arc<Compacted>>,
        durable: Lsn,
    ) -> Vec<Condemned> {
        let trimmed_before = self.trimmed_before;
        let is_replaced = |segment: &mut Segment| {
            sources.contains(&SegmentName::Written(segment.number))
                && is_compactable(segment, trimmed_before, durable)
        };
        let segments = self.segments.extract_if(.., is_replaced).map(|segment| segment.condemned());
        let mut freed: Vec<Condemned> = segments.collect();
        let is_replaced =
            |compacted: &mut Arc<Compacted>| sources.contains(&SegmentName::Compacted(compacted.number));
        freed.extend(self.compacted.extract_if(.., is_replaced).map(|compacted| compacted.condemned()));
        self.compacted.extend(kept);
        freed
    }

    /// What the compacted files among these have replaced.
    pub(super) fn replaced_by(&self, names: &[SegmentName]) -> Vec<SegmentName> {
        let is_named =
            |compacted: &&Arc<Compacted>| names.contains(&SegmentName::Compacted(compacted.number));
        self.compacted.iter().filter(is_named).flat_map(|compacted| compacted.sources.clone()).collect()
    }

    /// Has a file left out of compactions.
    pub(super) fn spoil(&mut self, name: SegmentName) {
        match name {
            SegmentName::Written(number) => {
                let segment = self.segments.iter_mut().find(|segment| segment.number == number);
                segment.into_iter().for_each(|segment| segment.is_spoiled = true);
            }
            SegmentName::Compacted(number) => {
                let compacted = self.compacted.iter().find(|compacted| compacted.number == number);
                compacted.into_iter().for_each(|compacted| compacted.spoil());
            }
        }
    }

    pub(super) fn infos(&self, durable: Lsn) -> Vec<SegmentInfo> {
        let active = self.segments.last().map(|segment| segment.number);
        let segment = |segment: &Segment| SegmentInfo {
            number: segment.number,
            first: segment.first,
            last: segment.last,
            bytes: segment.bytes,
            sealed: Some(segment.number) != active,
            compacted: None,
            is_compactable: is_compactable(segment, self.trimmed_before, durable),
        };
        let compacted = self.compacted.iter().map(|compacted| compacted.info());
        compacted.chain(self.segments.iter().map(segment)).collect()
    }
}

/// Whether no claim ever needs the segment but for its bodies.
fn is_compactable(segment: &Segment, trimmed_before: Lsn, durable: Lsn) -> bool {
    segment.last < trimmed_before && segment.last < durable && !segment.is_spoiled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SegmentTable {
        let segment = |number, first, last| Segment {
            number,
            bytes: 1 << 20,
            first: Lsn(first),
            last: Lsn(last),
            samples: None,
            is_spoiled: false,
        };
        SegmentTable::new(
            vec![segment(1, 1, 10), segment(2, 11, 20), segment(3, 21, 30), segment(4, 31, 40)],
            Vec::new(),
        )
    }

    fn freed(before: u64, keep: &[RangeInclusive<u64>], durable: u64) -> Vec<u64> {
        let keep: Vec<_> = keep.iter().map(|kept| Lsn(*kept.start())..=Lsn(*kept.end())).collect();
        let freed = table().trim(Lsn(before), &keep, Lsn(durable));
        let number = |freed: &Condemned| match freed.name {
            SegmentName::Written(number) | SegmentName::Compacted(number) => number,
        };
        freed.iter().map(number).collect()
    }

    #[test]
    fn only_whole_segments_without_kept_entries_are_freed() {
        assert_eq!(freed(21, &[], 40), [1, 2]);
        assert_eq!(freed(20, &[], 40), [1]);
        assert_eq!(freed(31, &[15..=15], 40), [1, 3]);
        assert_eq!(freed(31, &[10..=11, 30..=35], 40), []);
        assert_eq!(freed(99, &[], 40), [1, 2, 3]);
    }

    #[test]
    fn the_segment_of_the_durable_position_is_not_freed() {
        assert_eq!(freed(99, &[], 30), [1, 2]);
        assert_eq!(freed(99, &[], 31), [1, 2, 3]);
    }

    #[test]
    fn samples_are_64_kb_apart() {
        let mut table = SegmentTable::default();
        (0..40).for_each(|n| table.note(7, 1 << 20, Lsn(n + 1), 4096 * (n + 1)));
        let nearest = |lsn| match table.locate(Lsn(lsn)) {
            Some(Location::Segment { nearest: Some(nearest), .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest(16), Sample { lsn: Lsn(1), offset: 4096 });
        assert_eq!(nearest(17), Sample { lsn: Lsn(17), offset: 17 * 4096 });
        assert_eq!(nearest(40), Sample { lsn: Lsn(33), offset: 33 * 4096 });
        assert!(table.locate(Lsn(41)).is_none());
        assert!(table.locate(Lsn(0)).is_none());
    }
}

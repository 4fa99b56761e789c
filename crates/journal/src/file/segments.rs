//! The list of a log's segments, and where in them an entry is.

use std::ops::RangeInclusive;

use crate::{Lsn, SegmentInfo};

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
}

/// The segments of a log in ascending order, the last being the active one.
#[derive(Debug, Default)]
pub(super) struct SegmentTable(Vec<Segment>);

/// Where to look for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) segment_bytes: u64,
    /// An entry at or in front of the wanted one; `None` if the segment has no index yet.
    pub(super) nearest: Option<Sample>,
}

impl SegmentTable {
    pub(super) fn new(segments: Vec<Segment>) -> SegmentTable {
        debug_assert!(segments.is_sorted_by_key(|segment| segment.number));
        SegmentTable(segments)
    }

    /// Notes an entry that was written to the segment `number`, which is or becomes the last.
    pub(super) fn note(&mut self, number: u64, bytes: u64, lsn: Lsn, offset: u64) {
        if self.0.last().is_none_or(|last| last.number != number) {
            self.0.push(Segment { number, bytes, first: lsn, last: lsn, samples: Some(Samples::default()) });
        }
        if let Some(active) = self.0.last_mut() {
            active.last = lsn;
            active.samples.get_or_insert_default().note(lsn, offset);
        }
    }

    pub(super) fn locate(&self, lsn: Lsn) -> Option<Location> {
        let behind = self.0.partition_point(|segment| segment.first <= lsn);
        let segment = &self.0[behind.checked_sub(1)?];
        let nearest = segment.samples.as_ref().and_then(|samples| samples.nearest(lsn));
        let location = Location { segment: segment.number, segment_bytes: segment.bytes, nearest };
        (lsn <= segment.last).then_some(location)
    }

    /// Keeps the index that was built for an old segment.
    pub(super) fn set_samples(&mut self, number: u64, samples: Samples) {
        if let Some(segment) = self.0.iter_mut().find(|segment| segment.number == number) {
            segment.samples.get_or_insert(samples);
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.binary_search_by_key(&number, |segment| segment.number).is_ok()
    }

    /// Takes the segments out that hold nothing at or above `before` and nothing in `keep`, which is in
    /// ascending order.
    ///
    /// The segment that holds `durable` stays: without it nothing would tell where the log ends.
    pub(super) fn trim(&mut self, before: Lsn, keep: &[RangeInclusive<Lsn>], durable: Lsn) -> Vec<Segment> {
        let is_kept = |segment: &Segment| {
            let at = keep.partition_point(|kept| *kept.end() < segment.first);
            keep.get(at).is_some_and(|kept| *kept.start() <= segment.last)
        };
        let is_free =
            |segment: &mut Segment| segment.last < before && segment.last < durable && !is_kept(segment);
        // The active segment holds the durable position or is behind it, so it never matches.
        self.0.extract_if(.., is_free).collect()
    }

    pub(super) fn infos(&self) -> Vec<SegmentInfo> {
        let active = self.0.last().map(|segment| segment.number);
        let info = |segment: &Segment| SegmentInfo {
            number: segment.number,
            first: segment.first,
            last: segment.last,
            bytes: segment.bytes,
            sealed: Some(segment.number) != active,
        };
        self.0.iter().map(info).collect()
    }
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
        };
        SegmentTable::new(vec![segment(1, 1, 10), segment(2, 11, 20), segment(3, 21, 30), segment(4, 31, 40)])
    }

    fn freed(before: u64, keep: &[RangeInclusive<u64>], durable: u64) -> Vec<u64> {
        let keep: Vec<_> = keep.iter().map(|kept| Lsn(*kept.start())..=Lsn(*kept.end())).collect();
        table().trim(Lsn(before), &keep, Lsn(durable)).iter().map(|segment| segment.number).collect()
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
        let nearest = |lsn| table.locate(Lsn(lsn)).unwrap().nearest.unwrap();
        assert_eq!(nearest(16), Sample { lsn: Lsn(1), offset: 4096 });
        assert_eq!(nearest(17), Sample { lsn: Lsn(17), offset: 17 * 4096 });
        assert_eq!(nearest(40), Sample { lsn: Lsn(33), offset: 33 * 4096 });
        assert_eq!(table.locate(Lsn(41)), None);
        assert_eq!(table.locate(Lsn(0)), None);
    }
}

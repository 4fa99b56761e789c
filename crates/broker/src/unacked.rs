//! The deliveries of a session that wait to be settled.

use std::collections::VecDeque;

use crate::consumer::ConsumerId;
use crate::{QueueNumber, Timestamp};

/// A delivery that its client has not settled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) tag: u64,
    pub(crate) queue: QueueNumber,
    pub(crate) sequence: u64,
    /// `None` for a message taken by `Get`.
    pub(crate) consumer: Option<ConsumerId>,
    /// When it was handed out.
    pub(crate) at: Timestamp,
}

/// Unacked deliveries in the order of their tags.
///
/// Clients settle mostly from the front, so a removed entry in the middle only leaves a hole; holes are closed
/// when they are the front or when they outnumber the deliveries, which keeps settling O(log n) amortised
/// and memory within twice what is unacked.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    entries: VecDeque<Entry>,
    live: usize,
}

/// A delivery, or the hole that it has left.
#[derive(Clone, Copy, Debug)]
struct Entry {
    delivery: Delivery,
    is_hole: bool,
}

impl Unacked {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// All deliveries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.entries.iter().filter(|entry| !entry.is_hole).map(|entry| &entry.delivery)
    }

    /// Adds a delivery whose tag is above all others.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        debug_assert!(self.entries.back().is_none_or(|last| last.delivery.tag < delivery.tag));
        self.entries.push_back(Entry { delivery, is_hole: false });
        self.live += 1;
    }

    /// The delivery with this tag.
    pub(crate) fn get(&self, tag: u64) -> Option<&Delivery> {
        self.find(tag).map(|at| &self.entries[at].delivery)
    }

    /// Takes the delivery with this tag.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Delivery> {
        let at = self.find(tag)?;
        self.entries[at].is_hole = true;
        let delivery = self.entries[at].delivery;
        self.live -= 1;
        self.close_holes();
        Some(delivery)
    }

    /// Takes all deliveries up to this tag, in order. `None`, and nothing taken, if the tag itself is not unacked.
    pub(crate) fn take_up_to(&mut self, tag: u64, taken: &mut Vec<Delivery>) -> Option<()> {
        let at = self.find(tag)?;
        let before = taken.len();
        taken.extend(self.entries.drain(..=at).filter_map(Entry::living));
        self.live -= taken.len() - before;
        self.close_holes();
        Some(())
    }

    /// Takes all deliveries, in order.
    pub(crate) fn take_all(&mut self, taken: &mut Vec<Delivery>) {
        taken.extend(self.entries.drain(..).filter_map(Entry::living));
        self.live = 0;
    }

    /// Puts deliveries back that were taken before.
    pub(crate) fn put_back(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        let mut all: Vec<_> = self.entries.drain(..).filter_map(Entry::living).collect();
        all.extend(deliveries);
        all.sort_unstable_by_key(|delivery| delivery.tag);
        self.live = all.len();
        self.entries = all.into_iter().map(|delivery| Entry { delivery, is_hole: false }).collect();
    }

    /// Where the delivery with this tag is.
    fn find(&self, tag: u64) -> Option<usize> {
        let at = self.entries.binary_search_by_key(&tag, |entry| entry.delivery.tag).ok()?;
        (!self.entries[at].is_hole).then_some(at)
    }

    fn close_holes(&mut self) {
        while self.entries.front().is_some_and(|first| first.is_hole) {
            self.entries.pop_front();
        }
        if self.entries.len() > 64 && self.entries.len() > 2 * self.live {
            self.entries.retain(|entry| !entry.is_hole);
        }
    }
}

impl Entry {
    fn living(self) -> Option<Delivery> {
        (!self.is_hole).then_some(self.delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unacked(tags: impl IntoIterator<Item = u64>) -> Unacked {
        let mut unacked = Unacked::default();
        for tag in tags {
            let (queue, at) = (QueueNumber(1), Timestamp(0));
            unacked.push(Delivery { tag, queue, sequence: tag, consumer: None, at });
        }
        unacked
    }

    #[test]
    fn a_delivery_takes_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn a_tag_is_taken_once() {
        let mut unacked = unacked(1..=5);
        assert!(unacked.take(3).is_some());
        assert!(unacked.take(3).is_none());
        assert!(unacked.take_up_to(3, &mut Vec::new()).is_none());
        assert_eq!(unacked.len(), 4);
    }

    #[test]
    fn multiple_takes_what_is_left_below() {
        let mut unacked = unacked(1..=5);
        unacked.take(2);
        let mut taken = Vec::new();
        unacked.take_up_to(4, &mut taken).unwrap();
        assert_eq!(taken.iter().map(|delivery| delivery.tag).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(unacked.len(), 1);
    }

    #[test]
    fn one_stuck_delivery_does_not_keep_the_settled_ones() {
        let mut unacked = unacked(1..=100_000);
        for tag in 2..=100_000 {
            unacked.take(tag).unwrap();
        }
        assert_eq!(unacked.len(), 1);
        assert!(unacked.entries.len() <= 65, "{} entries for one delivery", unacked.entries.len());
    }

    #[test]
    fn what_is_put_back_stands_in_order() {
        let mut unacked = unacked(1..=6);
        let (five, two) = (unacked.take(5).unwrap(), unacked.take(2).unwrap());
        unacked.put_back([five, two]);
        let mut taken = Vec::new();
        unacked.take_up_to(5, &mut taken).unwrap();
        assert_eq!(taken.iter().map(|delivery| delivery.tag).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }
}

//! The messages of one queue in the order of their arrival.

use std::collections::{BTreeSet, VecDeque};

use mistakes::{Mistake, is_planted};

use super::page::{MESSAGES_PER_PAGE, Page, SealedPage};
use super::slot::Slot;
use super::volume::Volume;

/// A queue's messages: pages of slots, found by arithmetic from the sequence number.
///
/// A message is *ready* when it is neither dead nor held. Returning a held message clears one bit, so that it is
/// back in its original place whatever happened meanwhile. Spent pages are forgotten; one that lies behind an
/// older living message leaves 8 bytes until that one is gone.
#[derive(Debug, Default)]
pub(crate) struct Strand {
    /// Number of the page in front of `pages`: sequence / 512.
    first_page: u64,
    pages: VecDeque<Option<Box<Page>>>,
    next_sequence: u64,
    /// No message below this sequence is ready.
    first_ready: u64,
    /// Messages below this sequence may have been delivered before the last crash.
    maybe_delivered_below: u64,
    ready: Volume,
    held: Volume,
    /// Numbers of the pages that have changed since the last seal.
    changed: BTreeSet<u64>,
    /// First sequences of pages that are gone, and that a run still has.
    gone: Vec<u64>,
    /// What is not in pages has changed since the last seal.
    counters_changed: bool,
}

/// Pages at the head of a strand that are not packed: the one that is being handed out, and the next.
const HEAD_PAGES: u64 = 2;

/// What has changed in a strand since the seal before.
#[derive(Debug)]
pub(crate) struct SealedStrand {
    /// Pages with their first sequences, in order.
    pub(crate) pages: Vec<(u64, SealedPage)>,
    /// First sequences of pages that are gone, in no order.
    pub(crate) gone: Vec<u64>,
}

/// A message handed out by [`Strand::offer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) sequence: u64,
    pub(crate) slot: Slot,
    pub(crate) redelivered: bool,
}

impl Strand {
    pub(crate) fn ready(&self) -> Volume {
        self.ready
    }

    pub(crate) fn held(&self) -> Volume {
        self.held
    }

    /// The sequence that the next message will get.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Appends a message. Sequences that were skipped (by messages that never became durable) stay dead.
    pub(crate) fn push(&mut self, sequence: u64, slot: Slot) {
        debug_assert!(sequence >= self.next_sequence, "sequences only grow");
        let page = self.tail_page(sequence);
        page.push(slot);
        if page.touch() {
            self.changed.insert(sequence / MESSAGES_PER_PAGE as u64);
        }
        self.next_sequence = sequence + 1;
        self.ready.add(&slot);
    }

    /// Hands out the first ready message.
    pub(crate) fn offer(&mut self) -> Option<Offered> {
        let sequence = self.first_ready()?;
        let maybe_delivered = sequence < self.maybe_delivered_below;
        let (page, index) = self.page_of(sequence)?;
        let slot = page.slot(index);
        let redelivered = page.hold(index) || maybe_delivered;
        // That it was delivered is durable once a seal has said so.
        if page.touch() {
            self.changed.insert(sequence / MESSAGES_PER_PAGE as u64);
        }
        self.first_ready = sequence + 1;
        self.ready.remove(&slot);
        self.held.add(&slot);
        Some(Offered { sequence, slot, redelivered })
    }

    /// Puts a held message back to its place.
    pub(crate) fn requeue(&mut self, sequence: u64) {
        let Some((page, index)) = self.page_of(sequence).filter(|(page, index)| page.is_held(*index)) else {
            debug_assert!(false, "message {sequence} is requeued but not held");
            return;
        };
        let slot = page.slot(index);
        page.release(index);
        self.first_ready = self.first_ready.min(sequence);
        self.held.remove(&slot);
        self.ready.add(&slot);
    }

    /// Keeps a ready message back, without handing it out. Nothing, if it is not ready.
    pub(crate) fn hold(&mut self, sequence: u64) {
        let Some((page, index)) = self.page_of(sequence).filter(|(page, index)| page.is_ready(*index)) else {
            return;
        };
        let slot = page.slot(index);
        page.keep_back(index);
        self.ready.remove(&slot);
        self.held.add(&slot);
    }

    /// Puts a message back to its place, if it is held.
    pub(crate) fn unhold(&mut self, sequence: u64) {
        if self.page_of(sequence).is_some_and(|(page, index)| page.is_held(index)) {
            self.requeue(sequence);
        }
    }

    /// Removes a message, held or ready. `None` if it was dead already.
    pub(crate) fn settle(&mut self, sequence: u64) -> Option<Slot> {
        let (page, index) = self.page_of(sequence).filter(|(page, index)| !page.is_dead(*index))?;
        let slot = page.slot(index);
        let held = page.is_held(index);
        page.kill(index);
        let (spent, is_news) = (page.is_dead_throughout(), page.touch());
        if is_news {
            self.changed.insert(sequence / MESSAGES_PER_PAGE as u64);
        }
        if held {
            self.held.remove(&slot)
        } else {
            self.ready.remove(&slot)
        }
        if spent {
            self.forget_if_closed(sequence / MESSAGES_PER_PAGE as u64);
        }
        Some(slot)
    }

    /// Removes all ready messages below `below` but those in `except`, which is sorted; held ones stay as well.
    /// Calls `removed` for each.
    pub(crate) fn purge(&mut self, below: u64, except: &[u64], removed: &mut dyn FnMut(&Slot)) -> u64 {
        let mut count = 0;
        let mut page_start = first_sequence(self.first_page);
        while page_start < below.min(self.next_sequence) {
            if let Some(messages) = self.purge_packed(page_start, below, except) {
                count += messages;
                page_start += MESSAGES_PER_PAGE as u64;
                continue;
            }
            for sequence in page_start..below.min(page_start + MESSAGES_PER_PAGE as u64) {
                let ready = self.page_of(sequence).is_some_and(|(page, index)| page.is_ready(index));
                if ready && except.binary_search(&sequence).is_err() {
                    let slot = self.settle(sequence).expect("a ready message is alive");
                    removed(&slot);
                    count += 1;
                }
            }
            page_start += MESSAGES_PER_PAGE as u64;
        }
        count
    }

    /// Removes all messages of a packed page at once: they are ready, and none is in memory alone. How many; nothing if some have
    /// to stay.
    fn purge_packed(&mut self, first: u64, below: u64, except: &[u64]) -> Option<u64> {
        let end = first + MESSAGES_PER_PAGE as u64;
        let stays = except.partition_point(|sequence| *sequence < first);
        let is_whole = end <= below && except.get(stays).is_none_or(|sequence| *sequence >= end);
        let at = usize::try_from((first / MESSAGES_PER_PAGE as u64).checked_sub(self.first_page)?).ok()?;
        let page = self.pages.get(at)?.as_ref()?;
        if !is_whole || !page.is_packed() || !page.is_full() {
            return None;
        }
        let volume = page.volume();
        self.ready.remove_all(volume);
        self.drop_page(at);
        Some(volume.messages)
    }

    /// The sequences of all held messages below `below`, in order.
    pub(crate) fn held_below(&self, below: u64) -> Vec<u64> {
        if self.held.messages == 0 {
            return Vec::new();
        }
        let numbered = self.pages.iter().enumerate();
        // Nobody has a message of a packed page.
        let pages =
            numbered.filter_map(|(at, page)| Some((at, page.as_deref().filter(|page| !page.is_packed())?)));
        let held = pages.flat_map(|(at, page)| {
            let first = first_sequence(self.first_page + at as u64);
            (0..page.len()).filter(|index| page.is_held(*index)).map(move |index| first + index as u64)
        });
        held.filter(|sequence| *sequence < below).collect()
    }

    /// Whether the message lives.
    pub(crate) fn is_alive(&self, sequence: u64) -> bool {
        let number = sequence / MESSAGES_PER_PAGE as u64;
        let at = number.checked_sub(self.first_page).and_then(|at| usize::try_from(at).ok());
        let page = at.and_then(|at| self.pages.get(at)?.as_deref());
        let index = (sequence % MESSAGES_PER_PAGE as u64) as usize;
        page.is_some_and(|page| index < page.len() && !page.is_dead(index))
    }

    /// All living messages.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.alive().map(|(_, _, _, slot)| slot)
    }

    /// All living messages but some that are in the journal.
    pub(crate) fn maybe_volatile(&self) -> impl Iterator<Item = Slot> + '_ {
        let open = self.pages.iter().flatten().filter(|page| !page.is_packed());
        open.flat_map(|page| page.alive().map(|(_, slot)| slot))
    }

    /// All living messages with their sequences, in order.
    pub(crate) fn sequenced(&self) -> impl Iterator<Item = (u64, Slot)> + '_ {
        self.alive().map(|(sequence, _, _, slot)| (sequence, slot))
    }

    /// After a crash: whatever is here now may have been delivered before.
    pub(crate) fn mark_maybe_delivered(&mut self) {
        self.counters_changed |= self.maybe_delivered_below != self.next_sequence;
        self.maybe_delivered_below = self.next_sequence;
    }

    /// The sequence below which messages may have been delivered before the last crash.
    pub(crate) fn maybe_delivered_below(&self) -> u64 {
        self.maybe_delivered_below
    }

    /// Whether a seal would give anything out.
    pub(crate) fn is_changed(&self) -> bool {
        self.counters_changed || !self.changed.is_empty() || !self.gone.is_empty()
    }

    /// What has changed since the last seal. Costs nothing for the rest.
    pub(crate) fn seal(&mut self) -> SealedStrand {
        let numbers = std::mem::take(&mut self.changed);
        self.counters_changed = false;
        let mut pages = Vec::with_capacity(numbers.len());
        for number in numbers {
            // Numbers ascend: the first page is one that was there before.
            let is_forgotten = is_planted(Mistake::PageNotSealed) && self.first_page < number;
            if let Some(page) = self.page_mut(number).filter(|_| !is_forgotten) {
                pages.push((first_sequence(number), page.seal()));
            }
        }
        let gone = std::mem::take(&mut self.gone);
        SealedStrand { pages, gone: if is_planted(Mistake::GonePageKept) { Vec::new() } else { gone } }
    }

    /// All pages as they are.
    pub(crate) fn views(&self) -> impl Iterator<Item = SealedPage> + '_ {
        self.pages.iter().flatten().map(|page| page.view())
    }

    /// The first sequences of all pages that a run has.
    pub(crate) fn stored(&self) -> impl Iterator<Item = u64> + '_ {
        let first = self.first_page;
        let pages = self.pages.iter().enumerate();
        let stored = pages.filter(|(_, page)| page.as_ref().is_some_and(|page| page.is_stored()));
        stored.map(move |(at, _)| first_sequence(first + at as u64)).chain(self.gone.iter().copied())
    }

    /// No run has any of it: the next seal gives all of it out.
    pub(crate) fn forget_seals(&mut self) {
        (self.counters_changed, self.gone, self.changed) = (true, Vec::new(), BTreeSet::new());
        for (at, page) in self.pages.iter_mut().enumerate() {
            let Some(page) = page else { continue };
            page.forget_seals();
            page.touch();
            self.changed.insert(self.first_page + at as u64);
        }
    }

    /// Puts back a page that a run kept. Pages come in order.
    pub(crate) fn restore(&mut self, first_sequence: u64, page: Page) {
        let number = first_sequence / MESSAGES_PER_PAGE as u64;
        self.next_sequence = self.next_sequence.max(first_sequence + page.len() as u64);
        // All of it was transient: nothing would ever settle it, so nothing would ever take it away.
        if page.is_full() && page.is_dead_throughout() {
            self.gone.push(first_sequence);
            return;
        }
        if self.pages.is_empty() {
            self.first_page = number;
        }
        while self.first_page + (self.pages.len() as u64) < number {
            self.pages.push_back(None);
        }
        self.ready.add_all(page.volume());
        self.pages.push_back(Some(Box::new(page)));
    }

    /// Puts a page in the place of what is there. With `and_later`, what is there goes on behind it.
    pub(crate) fn replace(&mut self, first: u64, mut page: Page, and_later: bool) {
        let number = first / MESSAGES_PER_PAGE as u64;
        if self.pages.is_empty() {
            self.first_page = number;
        }
        while number < self.first_page {
            self.pages.push_front(None);
            self.first_page -= 1;
        }
        while self.first_page + (self.pages.len() as u64) <= number {
            self.pages.push_back(None);
        }
        if let Some(there) = self.page_mut(number).filter(|there| and_later && there.len() > page.len()) {
            for index in page.len()..there.len() {
                let slot = if there.is_dead(index) { Slot::SKIPPED } else { there.slot(index) };
                page.push(slot);
                if there.is_dead(index) {
                    page.kill(index);
                }
            }
        }
        self.forget(number);
        self.next_sequence = self.next_sequence.max(first + page.len() as u64);
        self.first_ready = self.first_ready.min(first);
        self.ready.add_all(page.volume());
        let at = (number - self.first_page) as usize;
        self.pages[at] = Some(Box::new(page)).filter(|page| !(page.is_full() && page.is_dead_throughout()));
    }

    /// Takes away the pages that are not to stay, by their first sequences.
    pub(crate) fn keep_pages(&mut self, may_stay: impl Fn(u64) -> bool) {
        for number in self.first_page..self.first_page + self.pages.len() as u64 {
            if !may_stay(first_sequence(number)) {
                self.forget(number);
            }
        }
    }

    /// Takes a page away with all messages in it.
    fn forget(&mut self, number: u64) {
        let Some(at) = number.checked_sub(self.first_page).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        let Some(page) = self.pages.get_mut(at).and_then(Option::take) else { return };
        for (index, slot) in page.alive() {
            let volume = if page.is_held(index) { &mut self.held } else { &mut self.ready };
            volume.remove(&slot);
        }
    }

    /// Puts back the counters that a run kept: the pages may end earlier than the arrivals.
    pub(crate) fn restore_counters(&mut self, next_sequence: u64, maybe_delivered_below: u64) {
        self.next_sequence = self.next_sequence.max(next_sequence);
        self.maybe_delivered_below = maybe_delivered_below;
    }

    /// The first ready message: the one that is handed out next.
    pub(crate) fn first_ready(&self) -> Option<u64> {
        if self.ready.messages == 0 {
            return None;
        }
        let mut sequence = self.first_ready.max(first_sequence(self.first_page));
        loop {
            let at = usize::try_from(sequence / MESSAGES_PER_PAGE as u64 - self.first_page).ok()?;
            let index = (sequence % MESSAGES_PER_PAGE as u64) as usize;
            if let Some(found) = self.pages.get(at)?.as_ref().and_then(|page| page.first_ready(index)) {
                return Some(sequence - index as u64 + found as u64);
            }
            sequence = first_sequence(self.first_page + at as u64 + 1);
        }
    }

    fn page_of(&mut self, sequence: u64) -> Option<(&mut Page, usize)> {
        let page = self.page_mut(sequence / MESSAGES_PER_PAGE as u64)?;
        Some((page, (sequence % MESSAGES_PER_PAGE as u64) as usize))
    }

    fn page_mut(&mut self, number: u64) -> Option<&mut Page> {
        let at = number.checked_sub(self.first_page)?;
        self.pages.get_mut(usize::try_from(at).ok()?)?.as_deref_mut()
    }

    /// The page that takes `sequence` next, with skipped places in front filled as dead.
    fn tail_page(&mut self, sequence: u64) -> &mut Page {
        let number = sequence / MESSAGES_PER_PAGE as u64;
        if self.pages.is_empty() {
            self.first_page = number;
        }
        if self.first_page + self.pages.len() as u64 <= number {
            self.open_page(number);
        }
        let page = self.pages.back_mut().expect("just made").get_or_insert_with(|| Box::new(Page::new()));
        while page.len() < (sequence % MESSAGES_PER_PAGE as u64) as usize {
            let skipped = page.len();
            page.push(Slot::SKIPPED);
            page.kill(skipped);
        }
        page
    }

    /// Makes `number` the tail. The old tail takes nothing more, so it goes now if all of it is dead.
    fn open_page(&mut self, number: u64) {
        let old_tail = (self.first_page + self.pages.len() as u64).saturating_sub(1);
        while self.first_page + (self.pages.len() as u64) < number {
            self.pages.push_back(None);
        }
        self.pages.push_back(Some(Box::new(Page::new())));
        self.forget_if_closed(old_tail);
        self.pack_beyond_the_head(old_tail);
    }

    /// Packs a page that will not be wanted soon: it is full, and not among the first that come next.
    fn pack_beyond_the_head(&mut self, number: u64) {
        let head = (self.first_ready / MESSAGES_PER_PAGE as u64).max(self.first_page);
        if number >= head + HEAD_PAGES
            && let Some(page) = self.page_mut(number)
        {
            page.pack();
        }
    }

    /// Packs all that can be.
    pub(crate) fn pack(&mut self) {
        self.pages.iter_mut().flatten().for_each(|page| page.pack());
    }

    /// Forgets a page without living messages, unless it is the tail and has room for more.
    fn forget_if_closed(&mut self, number: u64) {
        let Some(at) = number.checked_sub(self.first_page).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        let is_tail = at + 1 == self.pages.len();
        let Some(Some(page)) = self.pages.get(at) else { return };
        if !page.is_dead_throughout() || (is_tail && !page.is_full()) {
            return;
        }
        self.drop_page(at);
    }

    fn drop_page(&mut self, at: usize) {
        let number = self.first_page + at as u64;
        // That its sequences were used has to be kept, whether the page was or not.
        self.counters_changed |= self.changed.remove(&number);
        if self.pages[at].as_ref().is_some_and(|page| page.is_stored()) {
            self.gone.push(first_sequence(number));
        }
        self.pages[at] = None;
        while let Some(None) = self.pages.front() {
            self.pages.pop_front();
            self.first_page += 1;
        }
    }

    fn alive(&self) -> impl Iterator<Item = (u64, &Page, usize, Slot)> {
        self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_deref()?))).flat_map(
            move |(at, page)| {
                let first = first_sequence(self.first_page + at as u64);
                page.alive().map(move |(index, slot)| (first + index as u64, page, index, slot))
            },
        )
    }
}

fn first_sequence(page: u64) -> u64 {
    page * MESSAGES_PER_PAGE as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lsn, Place};

    fn slot(number: u64) -> Slot {
        Slot { place: Place::in_entry(Lsn(number + 1), 0), header_bytes: 6, body_bytes: 10 }
    }

    fn strand(messages: u64) -> Strand {
        let mut strand = Strand::default();
        for number in 0..messages {
            strand.push(number, slot(number));
        }
        strand
    }

    fn offered(strand: &mut Strand) -> Vec<u64> {
        std::iter::from_fn(|| strand.offer()).map(|message| message.sequence).collect()
    }

    #[test]
    fn offers_in_order_of_arrival_over_many_pages() {
        let mut strand = strand(1300);
        assert_eq!(offered(&mut strand), (0..1300).collect::<Vec<_>>());
        assert_eq!((strand.ready().messages, strand.held().messages), (0, 1300));
    }

    #[test]
    fn a_requeued_message_returns_to_its_place() {
        let mut strand = strand(600);
        for _ in 0..550 {
            strand.offer().unwrap();
        }
        strand.requeue(520);
        strand.requeue(3);
        assert_eq!(offered(&mut strand)[..3], [3, 520, 550]);
    }

    #[test]
    fn spent_pages_are_forgotten_also_behind_a_stuck_message() {
        let mut strand = strand(2048);
        offered(&mut strand);
        for sequence in 1..2048 {
            strand.settle(sequence).unwrap();
        }
        assert_eq!(strand.pages.iter().filter(|page| page.is_some()).count(), 1);
        strand.requeue(0);
        assert_eq!(offered(&mut strand), [0]);
        strand.settle(0).unwrap();
        assert!(strand.pages.is_empty());
        strand.push(2048, slot(2048));
        assert_eq!(offered(&mut strand), [2048]);
    }

    #[test]
    fn purge_leaves_held_messages() {
        let mut strand = strand(1000);
        for _ in 0..10 {
            strand.offer();
        }
        assert_eq!(strand.held_below(1000), (0..10).collect::<Vec<_>>());
        assert_eq!(strand.purge(1000, &[], &mut |_| ()), 990);
        strand.requeue(4);
        assert_eq!(offered(&mut strand), [4]);
    }

    #[test]
    fn a_restored_page_without_living_messages_takes_no_place() {
        let dead_page = |count: usize| {
            let mut dead = crate::message::Bits::default();
            (0..count).for_each(|index| dead.insert(index));
            let packed = super::super::Packed::of(&vec![Slot::SKIPPED; count], &dead).unwrap();
            Page::restored(packed, count, dead, crate::message::Bits::default())
        };
        let mut strand = Strand::default();
        strand.restore(0, dead_page(512));
        strand.restore(512, dead_page(512));
        strand.restore(1024, dead_page(3));
        assert_eq!((strand.pages.len(), strand.next_sequence()), (1, 1027));
        strand.push(1027, slot(1027));
        assert_eq!(offered(&mut strand), [1027]);
    }

    #[test]
    fn what_is_kept_back_is_not_offered_and_returns_to_its_place() {
        let mut strand = strand(4);
        strand.hold(1);
        strand.hold(1);
        assert_eq!(offered(&mut strand), [0, 2, 3]);
        strand.hold(2);
        for sequence in [3, 1, 1, 0] {
            strand.unhold(sequence);
        }
        assert_eq!((strand.ready().messages, strand.held().messages), (3, 1));
        assert_eq!(offered(&mut strand), [0, 1, 3]);
        strand.settle(1).unwrap();
        strand.unhold(1);
        assert_eq!(strand.ready().messages, 0);
    }

    #[test]
    fn a_seal_gives_out_what_has_changed_since_the_one_before() {
        let sealed = |strand: &mut Strand| {
            let SealedStrand { pages, gone } = strand.seal();
            (pages.into_iter().map(|(first, _)| first).collect::<Vec<_>>(), gone)
        };
        let mut strand = strand(1300);
        assert_eq!(sealed(&mut strand), (vec![0, 512, 1024], vec![]));
        assert!(!strand.is_changed());
        strand.offer().unwrap();
        strand.settle(600).unwrap();
        assert_eq!(sealed(&mut strand), (vec![0, 512], vec![]));
        strand.requeue(0);
        assert!(!strand.is_changed(), "who holds a message is not durable");
        for sequence in (512..1024).filter(|sequence| *sequence != 600) {
            strand.settle(sequence).unwrap();
        }
        strand.push(1300, slot(1300));
        assert_eq!(sealed(&mut strand), (vec![1024], vec![512]));
        strand.push(2000, slot(2000));
        strand.settle(2000).unwrap();
        strand.push(2048, slot(2048));
        assert_eq!(
            sealed(&mut strand),
            (vec![2048], vec![]),
            "no run has heard of the page that came and went"
        );
    }

    fn packed(strand: &Strand) -> Vec<bool> {
        strand.pages.iter().map(|page| page.as_ref().is_some_and(|page| page.is_packed())).collect()
    }

    #[test]
    fn pages_between_head_and_tail_are_packed_until_their_turn_comes() {
        let mut strand = strand(512 * 6 + 1);
        assert_eq!(packed(&strand), [false, false, true, true, true, true, false]);
        strand.settle(512 * 3).unwrap();
        assert_eq!(packed(&strand), [false, false, true, false, true, true, false]);
        let expected: Vec<u64> = (0..512 * 6 + 1).filter(|sequence| *sequence != 512 * 3).collect();
        assert_eq!(strand.sequenced().map(|(sequence, slot)| (sequence, slot.place)).collect::<Vec<_>>(), {
            expected.iter().map(|sequence| (*sequence, slot(*sequence).place)).collect::<Vec<_>>()
        });
        assert_eq!(offered(&mut strand), expected);
        assert!(!packed(&strand).contains(&true));
        assert_eq!(strand.held(), Volume { messages: 512 * 6, body_bytes: 5120 * 6 });
    }

    #[test]
    fn packed_pages_are_purged_whole() {
        let mut strand = strand(512 * 5 + 1);
        strand.seal();
        assert_eq!(strand.purge(512 * 4 + 3, &[512 * 3 + 7], &mut |_| ()), 512 * 4 + 2);
        assert_eq!(strand.ready(), Volume { messages: 511, body_bytes: 5110 });
        assert_eq!(offered(&mut strand)[..2], [512 * 3 + 7, 512 * 4 + 3]);
        assert_eq!(strand.seal().gone, [0, 512, 1024]);
    }

    #[test]
    fn what_is_held_is_not_packed() {
        let mut strand = strand(600);
        strand.offer().unwrap();
        strand.pack();
        assert_eq!(packed(&strand), [false, true]);
        strand.requeue(0);
        strand.pack();
        assert_eq!(packed(&strand), [true, true]);
        strand.push(600, slot(600));
        assert_eq!(offered(&mut strand).len(), 601);
    }

    /// A queue of transient messages has no seals: whatever is noted for the next one has to be bounded without them.
    #[test]
    fn pages_that_come_and_go_leave_nothing_for_a_seal() {
        let mut strand = Strand::default();
        for number in 0..512 * 20 + 1 {
            strand.push(number, slot(number));
            let offered = strand.offer().unwrap();
            strand.settle(offered.sequence).unwrap();
        }
        assert_eq!((strand.changed.len(), strand.gone.len()), (1, 0));
        let sealed = strand.seal();
        assert_eq!((sealed.pages.len(), sealed.gone.len()), (1, 0));
    }

    /// Else a restart would give them out again.
    #[test]
    fn sequences_of_pages_that_came_and_went_are_news_for_a_seal() {
        let mut strand = Strand::default();
        strand.seal();
        for number in 0..512 {
            strand.push(number, slot(number));
            strand.settle(number).unwrap();
        }
        assert!(strand.pages.is_empty() && strand.changed.is_empty());
        assert!(strand.is_changed());
    }

    #[test]
    fn skipped_sequences_are_dead() {
        let mut strand = strand(3);
        strand.push(700, slot(700));
        assert_eq!(offered(&mut strand), [0, 1, 2, 700]);
        assert!(strand.settle(5).is_none());
    }
}

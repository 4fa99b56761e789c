//! The messages of one queue in the order of their arrival.

mod restoring;
mod sealing;

use std::collections::{BTreeSet, VecDeque};

use super::page::{MESSAGES_PER_PAGE, Page};
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

    /// The messages that are handed out next, in order.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = Slot> + '_ {
        let first = self.first_ready().unwrap_or(self.next_sequence);
        let skipped = usize::try_from((first / MESSAGES_PER_PAGE as u64).saturating_sub(self.first_page));
        let pages = self.pages.iter().skip(skipped.unwrap_or(usize::MAX)).flatten();
        let ready = pages.flat_map(|page| page.alive().filter(|(index, _)| page.is_ready(*index)));
        ready.map(|(_, slot)| slot)
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
mod tests;

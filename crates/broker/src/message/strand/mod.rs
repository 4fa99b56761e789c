//! The messages of one queue in the order of their arrival.

mod cold;
mod restoring;
mod sealing;

use std::collections::{BTreeSet, VecDeque};

use super::page::{MESSAGES_PER_PAGE, Page};
use super::seat::Seat;
use super::slot::Slot;
use super::volume::Volume;

pub(crate) use cold::NextReady;

/// A queue's messages: pages of slots, found by arithmetic from the sequence number.
///
/// A message is *ready* when it is neither dead nor held. Returning a held message clears one bit, so that it is
/// back in its original place whatever happened meanwhile. Spent pages are forgotten; one that lies behind an
/// older living message leaves an empty seat until that one is gone. A page that nobody works on may be *cold*: in a run, and not in
/// memory. Whoever works on a page has seen to it that it is here.
#[derive(Debug, Default)]
pub(crate) struct Strand {
    /// Number of the page in front of `pages`: sequence / 512.
    first_page: u64,
    pages: VecDeque<Seat>,
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
    /// How many pages are not in memory.
    cold_pages: u64,
    /// All pages below this number that are not in memory were asked for.
    wanted_below: u64,
    /// How many pages are asked for ahead.
    ahead: u64,
    /// The page that was last waited for.
    missed: Option<u64>,
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
            if let Some(messages) = self.purge_whole(page_start, below, except) {
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

    /// Removes all messages of a packed or cold page at once: they are ready, and none is in memory alone. How many; nothing if some
    /// have to stay.
    fn purge_whole(&mut self, first: u64, below: u64, except: &[u64]) -> Option<u64> {
        let end = first + MESSAGES_PER_PAGE as u64;
        let stays = except.partition_point(|sequence| *sequence < first);
        let is_whole = end <= below && except.get(stays).is_none_or(|sequence| *sequence >= end);
        let at = self.seat_at(first / MESSAGES_PER_PAGE as u64)?;
        let volume = match self.pages.get(at)? {
            Seat::Cold(cold) => Some(cold.volume),
            Seat::Here(page) if page.is_packed() && page.is_full() => Some(page.volume()),
            Seat::Here(_) | Seat::Empty => None,
        };
        let volume = volume.filter(|_| is_whole)?;
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
            numbered.filter_map(|(at, seat)| Some((at, seat.page().filter(|page| !page.is_packed())?)));
        let held = pages.flat_map(|(at, page)| {
            let first = first_sequence(self.first_page + at as u64);
            (0..page.len()).filter(|index| page.is_held(*index)).map(move |index| first + index as u64)
        });
        held.filter(|sequence| *sequence < below).collect()
    }

    /// Whether the message lives. Of a page that is not in memory one may as well believe what a run says of it.
    pub(crate) fn is_alive(&self, sequence: u64) -> bool {
        let index = (sequence % MESSAGES_PER_PAGE as u64) as usize;
        match self.seat(sequence / MESSAGES_PER_PAGE as u64) {
            Some(Seat::Here(page)) => index < page.len() && !page.is_dead(index),
            Some(Seat::Cold(_)) => true,
            Some(Seat::Empty) | None => false,
        }
    }

    /// All living messages, which have to be in memory.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.sequenced().map(|(_, slot)| slot)
    }

    /// All living messages but some that are in the journal.
    pub(crate) fn maybe_volatile(&self) -> impl Iterator<Item = Slot> + '_ {
        let open = self.pages.iter().filter_map(Seat::page).filter(|page| !page.is_packed());
        open.flat_map(|page| page.alive().map(|(_, slot)| slot))
    }

    /// All living messages with their sequences, in order. They have to be in memory.
    pub(crate) fn sequenced(&self) -> impl Iterator<Item = (u64, Slot)> + '_ {
        debug_assert_eq!(
            self.cold_pages, 0,
            "whoever looks at all messages has seen to it that they are here"
        );
        let pages = self.pages.iter().enumerate().filter_map(|(at, seat)| Some((at, seat.page()?)));
        pages.flat_map(move |(at, page)| numbered(first_sequence(self.first_page + at as u64), page))
    }

    /// All living messages with their sequences, in order; `bring` gets pages that are not in memory, by their first sequences.
    pub(crate) fn sequenced_with(&self, mut bring: impl FnMut(u64) -> Page) -> Vec<(u64, Slot)> {
        let mut all = Vec::new();
        for (at, seat) in self.pages.iter().enumerate() {
            let first = first_sequence(self.first_page + at as u64);
            match seat {
                Seat::Empty => {}
                Seat::Here(page) => all.extend(numbered(first, page)),
                Seat::Cold(_) => all.extend(numbered(first, &bring(first))),
            }
        }
        all
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

    /// The first ready message: the one that is handed out next. `None` also while its page is not in memory.
    pub(crate) fn first_ready(&self) -> Option<u64> {
        match self.next_ready() {
            NextReady::Message(sequence) => Some(sequence),
            NextReady::None | NextReady::Cold => None,
        }
    }

    /// What is handed out next.
    pub(crate) fn next_ready(&self) -> NextReady {
        if self.ready.messages == 0 {
            return NextReady::None;
        }
        let mut sequence = self.first_ready.max(first_sequence(self.first_page));
        loop {
            let number = sequence / MESSAGES_PER_PAGE as u64;
            let index = (sequence % MESSAGES_PER_PAGE as u64) as usize;
            match self.seat(number) {
                Some(Seat::Cold(_)) => return NextReady::Cold,
                Some(Seat::Here(page)) => {
                    if let Some(found) = page.first_ready(index) {
                        return NextReady::Message(first_sequence(number) + found as u64);
                    }
                }
                Some(Seat::Empty) => {}
                None => return NextReady::None,
            }
            sequence = first_sequence(number + 1);
        }
    }

    /// The messages that are handed out next, in order, up to the first page that is not in memory.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = Slot> + '_ {
        let skipped = usize::try_from(self.head() - self.first_page).unwrap_or(usize::MAX);
        let seats = self.pages.iter().skip(skipped).take_while(|seat| !matches!(seat, Seat::Cold(_)));
        let pages = seats.filter_map(Seat::page);
        let ready = pages.flat_map(|page| page.alive().filter(|(index, _)| page.is_ready(*index)));
        ready.map(|(_, slot)| slot)
    }

    /// The number of the page that nothing is ready in front of.
    fn head(&self) -> u64 {
        (self.first_ready / MESSAGES_PER_PAGE as u64).max(self.first_page)
    }

    fn page_of(&mut self, sequence: u64) -> Option<(&mut Page, usize)> {
        let number = sequence / MESSAGES_PER_PAGE as u64;
        let at = self.seat_at(number)?;
        let seat = self.pages.get_mut(at)?;
        if let Seat::Cold(cold) = seat {
            // To go on would lose what is done to the message.
            assert!(cold.is_damaged, "page {number} is worked on, and it is not in memory");
        }
        Some((seat.page_mut()?, (sequence % MESSAGES_PER_PAGE as u64) as usize))
    }

    fn page_mut(&mut self, number: u64) -> Option<&mut Page> {
        let at = self.seat_at(number)?;
        self.pages.get_mut(at)?.page_mut()
    }

    fn seat(&self, number: u64) -> Option<&Seat> {
        self.pages.get(self.seat_at(number)?)
    }

    /// Where the seat of a page is, if there is one.
    fn seat_at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first_page)?).ok()
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
        let seat = self.pages.back_mut().expect("just made");
        if let Seat::Empty = seat {
            *seat = Seat::Here(Box::new(Page::new()));
        }
        let page = seat.page_mut().expect("the last page does not leave memory");
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
        self.make_seats_in_front_of(number);
        self.pages.push_back(Seat::Here(Box::new(Page::new())));
        self.forget_if_closed(old_tail);
        self.pack_beyond_the_head(old_tail);
    }

    /// Fills up with empty seats, so that the next one is the page's.
    fn make_seats_in_front_of(&mut self, number: u64) {
        if self.pages.is_empty() {
            self.first_page = number;
        }
        while self.first_page + (self.pages.len() as u64) < number {
            self.pages.push_back(Seat::Empty);
        }
    }

    /// Packs a page that will not be wanted soon: it is full, and not among the first that come next.
    fn pack_beyond_the_head(&mut self, number: u64) {
        if number >= self.head() + HEAD_PAGES
            && let Some(page) = self.page_mut(number)
        {
            page.pack();
        }
    }

    /// Packs all that can be.
    pub(crate) fn pack(&mut self) {
        self.pages.iter_mut().filter_map(Seat::page_mut).for_each(Page::pack);
    }

    /// Forgets a page without living messages, unless it is the tail and has room for more.
    fn forget_if_closed(&mut self, number: u64) {
        let Some(at) = self.seat_at(number) else { return };
        let is_tail = at + 1 == self.pages.len();
        let Some(page) = self.pages.get(at).and_then(Seat::page) else { return };
        if !page.is_dead_throughout() || (is_tail && !page.is_full()) {
            return;
        }
        self.drop_page(at);
    }

    fn drop_page(&mut self, at: usize) {
        let number = self.first_page + at as u64;
        // That its sequences were used has to be kept, whether the page was or not.
        self.counters_changed |= self.changed.remove(&number);
        if self.pages[at].is_stored() {
            self.gone.push(first_sequence(number));
        }
        self.cold_pages -= u64::from(matches!(self.pages[at], Seat::Cold(_)));
        self.pages[at] = Seat::Empty;
        while let Some(Seat::Empty) = self.pages.front() {
            self.pages.pop_front();
            self.first_page += 1;
        }
    }
}

/// The living messages of a page with their sequences.
fn numbered(first: u64, page: &Page) -> impl Iterator<Item = (u64, Slot)> + '_ {
    page.alive().map(move |(index, slot)| (first + index as u64, slot))
}

fn first_sequence(page: u64) -> u64 {
    page * MESSAGES_PER_PAGE as u64
}

#[cfg(test)]
mod tests;

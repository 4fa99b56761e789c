//! Pages that a run kept come back into a strand.

use super::{Strand, first_sequence};
use crate::message::seat::{ColdPage, Seat};
use crate::message::volume::Volume;
use crate::message::{MESSAGES_PER_PAGE, Page, Slot};

impl Strand {
    /// Puts back a page that a run kept. Pages come in order.
    pub(crate) fn restore(&mut self, first_sequence: u64, page: Page) {
        let number = first_sequence / MESSAGES_PER_PAGE as u64;
        self.next_sequence = self.next_sequence.max(first_sequence + page.len() as u64);
        // All of it was transient: nothing would ever settle it, so nothing would ever take it away.
        if page.is_full() && page.is_dead_throughout() {
            self.gone.push(first_sequence);
            return;
        }
        self.make_seats_in_front_of(number);
        self.ready.add_all(page.volume());
        self.pages.push_back(Seat::Here(Box::new(page)));
    }

    /// A page that a run kept cannot be read: nobody knows how many messages there were, so what comes next gets a page of its
    /// own. Pages come in order.
    pub(crate) fn restore_damaged(&mut self, first: u64) {
        let number = first / MESSAGES_PER_PAGE as u64;
        self.next_sequence = self.next_sequence.max(first + MESSAGES_PER_PAGE as u64);
        self.make_seats_in_front_of(number);
        self.pages.push_back(Seat::Cold(ColdPage { is_damaged: true, ..ColdPage::new(Volume::default()) }));
        self.cold_pages += 1;
    }

    /// Puts a page in the place of what is there. With `and_later`, what is there goes on behind it.
    pub(crate) fn replace(&mut self, first: u64, mut page: Page, and_later: bool) {
        let number = first / MESSAGES_PER_PAGE as u64;
        self.make_seats_in_front_of(number);
        while number < self.first_page {
            self.pages.push_front(Seat::Empty);
            self.first_page -= 1;
        }
        if self.seat(number).is_none() {
            self.pages.push_back(Seat::Empty);
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
        if !(page.is_full() && page.is_dead_throughout()) {
            self.pages[at] = Seat::Here(Box::new(page));
        }
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
        let seat = self.seat_at(number).and_then(|at| self.pages.get_mut(at));
        let Some(Seat::Here(page)) = seat.map(|seat| std::mem::replace(seat, Seat::Empty)) else { return };
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
}

//! Pages that leave memory, and come back when their turn does.

use super::{HEAD_PAGES, Strand, first_sequence};
use crate::message::seat::{ColdPage, Seat};
use crate::message::{MESSAGES_PER_PAGE, Page};

/// Pages that a strand asks for ahead of the one that is being handed out, once it has had to wait for some.
const AHEAD_MAX: u64 = 64;

impl Strand {
    /// Lets pages go that a run has as they are, those behind first, until so many bytes are freed; not the one that takes what
    /// arrives, nor, with `keep_head`, those that are handed out next. `written` is the last seal that has become a run. How many bytes were freed.
    pub(crate) fn evict(&mut self, written: u64, bytes: u64, keep_head: bool) -> u64 {
        let mut freed = 0;
        let head_end = self.head() - self.first_page + HEAD_PAGES;
        let first = if keep_head { usize::try_from(head_end).unwrap_or(usize::MAX) } else { 0 };
        for at in (first..self.pages.len().saturating_sub(1)).rev() {
            if freed >= bytes {
                break;
            }
            let Seat::Here(page) = &mut self.pages[at] else { continue };
            if !page.is_in_run(written) {
                continue;
            }
            page.pack();
            // Not if one of its messages is held, or in memory alone.
            if page.is_packed() {
                freed += page.bytes();
                self.pages[at] = Seat::Cold(ColdPage::new(page.volume()));
                self.cold_pages += 1;
                (self.wanted_below, self.ahead, self.missed) = (0, 0, None);
            }
        }
        freed
    }

    /// The pages that are not in memory and will be handed out soon, by their first sequences, unless somebody was asked for them
    /// before.
    ///
    /// As far ahead as it has turned out to be needed: twice as far each time that the next message was not there.
    pub(crate) fn want_pages(&mut self, mut want: impl FnMut(u64)) {
        if self.cold_pages == 0 || self.ready.messages == 0 {
            return;
        }
        if self.next_ready() == NextReady::Cold
            && let Some(missed) = self.first_cold().filter(|missed| Some(*missed) != self.missed)
        {
            self.missed = Some(missed);
            self.ahead = (2 * self.ahead).clamp(HEAD_PAGES, AHEAD_MAX);
            // Not all that lies in front of it need be there.
            self.want(missed, &mut want);
        }
        let head = self.head();
        let below = (head + self.ahead.max(HEAD_PAGES)).min(self.first_page + self.pages.len() as u64);
        for number in head.max(self.wanted_below)..below {
            self.want(number, &mut want);
        }
        self.wanted_below = self.wanted_below.max(below);
    }

    /// The pages that have to be in memory before some of the messages in `[from, below)` are settled, by their first sequences.
    pub(crate) fn cold_pages_of(&self, from: u64, below: u64) -> impl Iterator<Item = u64> + '_ {
        let pages = from / MESSAGES_PER_PAGE as u64..below.div_ceil(MESSAGES_PER_PAGE as u64);
        let first = pages.start.max(self.first_page);
        let end = pages.end.min(self.first_page + self.pages.len() as u64);
        let can_come =
            |number: &u64| matches!(self.seat(*number), Some(Seat::Cold(cold)) if !cold.is_damaged);
        (first..end).filter(can_come).map(first_sequence)
    }

    /// Puts a page back that a run has. False if it is not the one that has left; nothing changes if it is back already, or gone.
    pub(crate) fn install(&mut self, first: u64, page: Page) -> bool {
        let Some(at) = self.seat_at(first / MESSAGES_PER_PAGE as u64) else { return true };
        let Some(Seat::Cold(cold)) = self.pages.get(at) else { return true };
        if cold.volume != page.volume() {
            return false;
        }
        self.pages[at] = Seat::Here(Box::new(page));
        self.cold_pages -= 1;
        true
    }

    /// A page cannot be read.
    pub(crate) fn note_damaged(&mut self, first: u64) {
        let at = self.seat_at(first / MESSAGES_PER_PAGE as u64);
        if let Some(Seat::Cold(cold)) = at.and_then(|at| self.pages.get_mut(at)) {
            cold.is_damaged = true;
        }
    }

    /// Whether the page of this sequence cannot be read.
    pub(crate) fn is_damaged_at(&self, sequence: u64) -> bool {
        let seat = self.seat(sequence / MESSAGES_PER_PAGE as u64);
        matches!(seat, Some(Seat::Cold(cold)) if cold.is_damaged)
    }

    /// Whether a page cannot be read.
    pub(crate) fn has_damage(&self) -> bool {
        self.cold_pages > 0
            && self.pages.iter().any(|seat| matches!(seat, Seat::Cold(cold) if cold.is_damaged))
    }

    /// Bytes of memory that its pages take, as far as they can leave it.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.pages.iter().filter_map(Seat::page).map(Page::bytes).sum()
    }

    fn want(&mut self, number: u64, want: &mut impl FnMut(u64)) {
        let seat = self.seat_at(number).and_then(|at| self.pages.get_mut(at));
        if let Some(Seat::Cold(cold)) = seat
            && !std::mem::replace(&mut cold.is_wanted, true)
        {
            want(first_sequence(number));
        }
    }

    /// The first page that is not in memory, from the head on.
    fn first_cold(&self) -> Option<u64> {
        let end = self.first_page + self.pages.len() as u64;
        (self.head()..end).find(|number| matches!(self.seat(*number), Some(Seat::Cold(_))))
    }
}

/// What is handed out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextReady {
    /// Nothing is ready.
    None,
    /// This message.
    Message(u64),
    /// A message of a page that is not in memory.
    Cold,
}

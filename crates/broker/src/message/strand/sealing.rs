//! What a seal gets of a strand.

use std::collections::BTreeSet;

use mistakes::{Mistake, is_planted};

use super::{Strand, first_sequence};
use crate::message::seat::Seat;
use crate::message::{Page, SealedPage};

/// What has changed in a strand since the seal before.
#[derive(Debug)]
pub(crate) struct SealedStrand {
    /// Pages with their first sequences, in order.
    pub(crate) pages: Vec<(u64, SealedPage)>,
    /// First sequences of pages that are gone, in no order.
    pub(crate) gone: Vec<u64>,
}

impl Strand {
    /// Whether a seal would give anything out.
    pub(crate) fn is_changed(&self) -> bool {
        self.counters_changed || !self.changed.is_empty() || !self.gone.is_empty()
    }

    /// What has changed since the last seal, for the seal of this number. Costs nothing for the rest.
    pub(crate) fn seal(&mut self, seal: u64) -> SealedStrand {
        let numbers = std::mem::take(&mut self.changed);
        self.counters_changed = false;
        let mut pages = Vec::with_capacity(numbers.len());
        for number in numbers {
            // Numbers ascend: the first page is one that was there before.
            let is_forgotten = is_planted(Mistake::PageNotSealed) && self.first_page < number;
            if let Some(page) = self.page_mut(number).filter(|_| !is_forgotten) {
                pages.push((first_sequence(number), page.seal(seal)));
            }
        }
        let gone = std::mem::take(&mut self.gone);
        SealedStrand { pages, gone: if is_planted(Mistake::GonePageKept) { Vec::new() } else { gone } }
    }

    /// All pages as they are.
    pub(crate) fn views(&self) -> impl Iterator<Item = SealedPage> + '_ {
        self.pages.iter().filter_map(Seat::page).map(Page::view)
    }

    /// The first sequences of all pages that a run has.
    pub(crate) fn stored(&self) -> impl Iterator<Item = u64> + '_ {
        let first = self.first_page;
        let pages = self.pages.iter().enumerate();
        let stored = pages.filter(|(_, seat)| seat.is_stored());
        stored.map(move |(at, _)| first_sequence(first + at as u64)).chain(self.gone.iter().copied())
    }

    /// No run has any of it: the next seal gives all of it out.
    pub(crate) fn forget_seals(&mut self) {
        debug_assert_eq!(self.cold_pages, 0, "what is in a run alone must not be forgotten");
        (self.counters_changed, self.gone, self.changed) = (true, Vec::new(), BTreeSet::new());
        for (at, seat) in self.pages.iter_mut().enumerate() {
            let Some(page) = seat.page_mut() else { continue };
            page.forget_seals();
            page.touch();
            self.changed.insert(self.first_page + at as u64);
        }
    }
}

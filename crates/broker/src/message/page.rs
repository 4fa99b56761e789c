//! 512 consecutive arrivals of a strand.

use std::sync::Arc;

use mistakes::{Mistake, is_planted};

use super::bits::Bits;
use super::slot::Slot;

/// Messages of one page.
pub(crate) const MESSAGES_PER_PAGE: usize = 512;

/// Up to 512 consecutive messages. The slots are shared with sealed checkpoints and only ever appended to.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    slots: Arc<Vec<Slot>>,
    /// Settled, dropped or purged: durable.
    dead: Bits,
    /// With a consumer: not durable.
    held: Bits,
    /// Delivered before: as durable as the last seal.
    delivered: Bits,
    /// Changed since the last seal.
    is_changed: bool,
    /// A seal has given it out.
    is_stored: bool,
}

/// The durable part of a page at the moment of a seal.
#[derive(Clone, Debug)]
pub(crate) struct SealedPage {
    pub(crate) slots: Arc<Vec<Slot>>,
    pub(crate) dead: Bits,
    pub(crate) delivered: Bits,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            slots: Arc::default(),
            dead: Bits::default(),
            held: Bits::default(),
            delivered: Bits::default(),
            is_changed: false,
            is_stored: false,
        }
    }

    /// A page as a run keeps it.
    pub(crate) fn restored(slots: Vec<Slot>, dead: Bits, delivered: Bits) -> Self {
        Self { slots: Arc::new(slots), dead, delivered, is_stored: true, ..Self::new() }
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Notes that the next seal has to give it out. False if that was known.
    pub(crate) fn touch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_changed, true)
    }

    /// No run keeps it any more.
    pub(crate) fn forget_seals(&mut self) {
        self.is_stored = false;
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == MESSAGES_PER_PAGE
    }

    /// True when no message of the page is alive.
    pub(crate) fn is_dead_throughout(&self) -> bool {
        self.dead.count() == self.len()
    }

    pub(crate) fn push(&mut self, slot: Slot) {
        debug_assert!(!self.is_full());
        Arc::make_mut(&mut self.slots).push(slot);
    }

    pub(crate) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    pub(crate) fn first_ready(&self, from: usize) -> Option<usize> {
        self.dead.first_in_neither(&self.held, from, self.len())
    }

    pub(crate) fn is_ready(&self, index: usize) -> bool {
        !self.is_dead(index) && !self.held.contains(index)
    }

    pub(crate) fn is_dead(&self, index: usize) -> bool {
        index >= self.len() || self.dead.contains(index)
    }

    pub(crate) fn is_held(&self, index: usize) -> bool {
        self.held.contains(index)
    }

    /// Hands the message to a consumer. True if it was, or may have been, delivered before.
    pub(crate) fn hold(&mut self, index: usize) -> bool {
        let before = self.delivered.contains(index) && !is_planted(Mistake::RedeliveredNotMarked);
        self.held.insert(index);
        self.delivered.insert(index);
        before
    }

    /// Takes the message out of those that are ready. It was not delivered by that.
    pub(crate) fn keep_back(&mut self, index: usize) {
        self.held.insert(index);
    }

    pub(crate) fn release(&mut self, index: usize) {
        self.held.remove(index);
    }

    pub(crate) fn kill(&mut self, index: usize) {
        self.dead.insert(index);
        self.held.remove(index);
    }

    /// The slots that are not dead, with their indexes.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(|(index, _)| !self.dead.contains(*index))
    }

    /// The durable view, for a run.
    pub(crate) fn seal(&mut self) -> SealedPage {
        (self.is_changed, self.is_stored) = (false, true);
        self.view()
    }

    /// The durable view as it is now.
    pub(crate) fn view(&self) -> SealedPage {
        SealedPage { slots: Arc::clone(&self.slots), dead: self.dead, delivered: self.delivered }
    }
}

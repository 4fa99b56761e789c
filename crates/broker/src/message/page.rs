//! 512 consecutive arrivals of a strand.

use std::borrow::Cow;
use std::sync::Arc;

use mistakes::{Mistake, is_planted};

use super::bits::Bits;
use super::packed::Packed;
use super::slot::Slot;
use super::volume::Volume;
use crate::Lsn;
use crate::place::Home;

/// Messages of one page. In the simulation, where all is small, pages are small too.
pub(crate) const MESSAGES_PER_PAGE: usize = if cfg!(feature = "small-pages") { 64 } else { 512 };

/// Up to 512 consecutive messages. The slots are shared with sealed checkpoints and only ever appended to.
///
/// A page that nobody works on is *packed*: its slots take a few bytes each until one of them is wanted. Of a packed page all living
/// messages are ready and in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    slots: Slots,
    /// How many there are, dead ones included.
    count: usize,
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
    /// The seal that has given it out last; 0 if it came from a run.
    sealed_in: u64,
}

#[derive(Clone, Debug)]
enum Slots {
    Open(Arc<Vec<Slot>>),
    Packed(Packed),
}

/// The durable part of a page at the moment of a seal.
#[derive(Clone, Debug)]
pub(crate) struct SealedPage {
    slots: Slots,
    count: usize,
    pub(crate) dead: Bits,
    pub(crate) delivered: Bits,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::Open(Arc::default()),
            count: 0,
            dead: Bits::default(),
            held: Bits::default(),
            delivered: Bits::default(),
            is_changed: false,
            is_stored: false,
            sealed_in: 0,
        }
    }

    /// A page as a run keeps it.
    pub(crate) fn restored(slots: Packed, count: usize, dead: Bits, delivered: Bits) -> Self {
        Self { slots: Slots::Packed(slots), count, dead, delivered, is_stored: true, ..Self::new() }
    }

    /// Packs the slots, if nobody has one of them and all are in the journal.
    pub(crate) fn pack(&mut self) {
        if let Slots::Open(slots) = &self.slots
            && self.held.count() == 0
            && let Some(packed) = Packed::of(slots, &self.dead)
        {
            self.slots = Slots::Packed(packed);
        }
    }

    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.slots, Slots::Packed(_))
    }

    /// The living messages, ready and held.
    pub(crate) fn volume(&self) -> Volume {
        match &self.slots {
            Slots::Packed(packed) => packed.volume(),
            Slots::Open(_) => self.alive().fold(Volume::default(), |mut volume, (_, slot)| {
                volume.add(&slot);
                volume
            }),
        }
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Whether a run has it as it is, when `written` is the last seal that has become a run.
    pub(crate) fn is_in_run(&self, written: u64) -> bool {
        let is_changed = self.is_changed && !is_planted(Mistake::DirtyPageEvicted);
        self.is_stored && !is_changed && self.sealed_in <= written
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let slots = match &self.slots {
            Slots::Open(slots) => slots.capacity() * size_of::<Slot>(),
            Slots::Packed(packed) => packed.len(),
        };
        (size_of::<Self>() + slots) as u64
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
        self.count
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
        Arc::make_mut(self.open()).push(slot);
        self.count += 1;
    }

    pub(crate) fn slot(&mut self, index: usize) -> Slot {
        self.open()[index]
    }

    fn open(&mut self) -> &mut Arc<Vec<Slot>> {
        if let Slots::Packed(packed) = &self.slots {
            self.slots = Slots::Open(Arc::new(packed.unpacked(self.count, &self.dead)));
        }
        match &mut self.slots {
            Slots::Open(slots) => slots,
            Slots::Packed(_) => unreachable!("it was opened just now"),
        }
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
    pub(crate) fn alive(&self) -> impl Iterator<Item = (usize, Slot)> + '_ {
        let slots = self.slots.all(self.count, &self.dead);
        (0..self.count).filter(|index| !self.dead.contains(*index)).map(move |index| (index, slots[index]))
    }

    /// The durable view, for a run.
    pub(crate) fn seal(&mut self, seal: u64) -> SealedPage {
        (self.is_changed, self.is_stored, self.sealed_in) = (false, true, seal);
        self.view()
    }

    /// The durable view as it is now.
    pub(crate) fn view(&self) -> SealedPage {
        let Self { slots, count, dead, delivered, .. } = self;
        SealedPage { slots: slots.clone(), count: *count, dead: *dead, delivered: *delivered }
    }
}

impl Slots {
    /// All of them.
    fn all(&self, count: usize, dead: &Bits) -> Cow<'_, [Slot]> {
        match self {
            Self::Open(slots) => Cow::Borrowed(slots),
            Self::Packed(packed) => Cow::Owned(packed.unpacked(count, dead)),
        }
    }
}

impl SealedPage {
    /// All slots, dead ones among them.
    pub(crate) fn slots(&self) -> Cow<'_, [Slot]> {
        self.slots.all(self.count, &self.dead)
    }

    /// The journal's entries that hold the living messages, in the order of the messages.
    pub(crate) fn entries(&self) -> Vec<Lsn> {
        let mut entries: Vec<Lsn> = Vec::new();
        for (_, slot) in self.slots().iter().enumerate().filter(|(index, _)| !self.dead.contains(*index)) {
            if let Home::Entry(lsn) = slot.place.home()
                && entries.last() != Some(&lsn)
            {
                entries.push(lsn);
            }
        }
        entries
    }
}

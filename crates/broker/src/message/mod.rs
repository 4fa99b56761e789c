//! Messages as the core keeps them: slots in pages of strands. Bodies lie elsewhere, at a place.

mod bits;
mod packed;
mod page;
mod seat;
mod slot;
mod strand;
mod volume;

pub(crate) use bits::Bits;
pub(crate) use packed::{Packed, Previous, write_slot};
pub(crate) use page::{MESSAGES_PER_PAGE, Page, SealedPage};
pub(crate) use slot::Slot;
pub(crate) use strand::{NextReady, Offered, Strand};
pub(crate) use volume::Volume;

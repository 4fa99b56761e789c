//! Messages as the core keeps them: slots in pages of strands. Bodies lie elsewhere, at a place.

mod bits;
mod page;
mod slot;
mod strand;

pub(crate) use bits::Bits;
pub(crate) use page::{MESSAGES_PER_PAGE, Page, SealedPage};
pub(crate) use slot::Slot;
pub(crate) use strand::{Offered, Strand};

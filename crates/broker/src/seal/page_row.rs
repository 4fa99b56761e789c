//! A page of messages as a row: about 4 bytes for each message that is like the one before it.
//!
//! ```text
//! count | alive: 64 bytes | flags:u8 | delivered: 64 bytes, if flag 1 is set | bytes of all bodies, if flag 2 is set
//! then each living message as in `message/packed.rs`
//! ```
//!
//! Flag 2 is always set; without it, as the first runs of version 2 have it, the bodies have to be counted.

use bytes::BufMut;

use crate::Lsn;
use crate::message::{Bits, MESSAGES_PER_PAGE, Packed, Page, Previous, SealedPage, Volume, write_slot};
use crate::place::Home;
use crate::varint::{self, Cursor};

const DELIVERED: u8 = 1;
const BODY_BYTES: u8 = 2;

/// Writes the part of a page that survives a restart: a transient message of a durable queue does not. The lowest and the
/// highest entry that it names.
pub(super) fn write(page: &SealedPage, out: &mut Vec<u8>) -> Option<(Lsn, Lsn)> {
    let slots = page.slots();
    let mut kept = Bits::default();
    let mut delivered = Bits::default();
    for (index, slot) in slots.iter().enumerate() {
        if !page.dead.contains(index) && matches!(slot.place.home(), Home::Entry(_)) {
            kept.insert(index);
            if page.delivered.contains(index) {
                delivered.insert(index);
            }
        }
    }
    varint::write(out, slots.len() as u64);
    write_bits(&kept, out);
    let is_delivered = delivered.count() > 0;
    out.put_u8(if is_delivered { DELIVERED | BODY_BYTES } else { BODY_BYTES });
    if is_delivered {
        write_bits(&delivered, out);
    }
    let living = || slots.iter().enumerate().filter(|(index, _)| kept.contains(*index));
    varint::write(out, living().map(|(_, slot)| u64::from(slot.body_bytes)).sum());
    let (mut previous, mut entries) = (Previous::default(), None);
    for (_, slot) in living() {
        previous = write_slot(slot, previous, out);
        let lsn = previous.lsn();
        entries =
            Some(entries.map_or((lsn, lsn), |(first, last): (Lsn, Lsn)| (first.min(lsn), last.max(lsn))));
    }
    entries
}

pub(super) fn read(cursor: &mut Cursor) -> Option<Page> {
    let count = usize::try_from(cursor.varint()?).ok().filter(|count| *count <= MESSAGES_PER_PAGE)?;
    let kept = read_bits(cursor)?;
    let flags = cursor.u8().filter(|flags| flags & !(DELIVERED | BODY_BYTES) == 0)?;
    let delivered = if flags & DELIVERED != 0 { read_bits(cursor)? } else { Bits::default() };
    let body_bytes = if flags & BODY_BYTES != 0 { Some(cursor.varint()?) } else { None };
    let mut dead = Bits::default();
    (0..count).filter(|index| !kept.contains(*index)).for_each(|index| dead.insert(index));
    let messages = count - dead.count();
    let slots = match body_bytes {
        Some(body_bytes) => Packed::unread(cursor, Volume { messages: messages as u64, body_bytes }),
        None => Packed::read(cursor, messages)?,
    };
    Some(Page::restored(slots, count, dead, delivered))
}

fn write_bits(bits: &Bits, out: &mut Vec<u8>) {
    bits.words().iter().for_each(|word| out.put_u64(*word));
}

fn read_bits(cursor: &mut Cursor) -> Option<Bits> {
    let bytes = cursor.take(MESSAGES_PER_PAGE / 8)?;
    let mut words = [0; MESSAGES_PER_PAGE / 64];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_be_bytes(chunk.try_into().ok()?);
    }
    Some(Bits::from_words(words))
}

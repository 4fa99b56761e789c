//! A page of messages as a row: about 4 bytes for each message that is like the one before it.
//!
//! ```text
//! count | alive: 64 bytes | flag:u8, delivered: 64 bytes if the flag is 1
//! then for each living message, against the living one before it (varints, signed ones zigzag):
//!   entry - entry before
//!   offset - end of the envelope before, if the entry is the same; else the offset
//!   header bytes - header bytes before
//!   body bytes - body bytes before
//! ```

use bytes::BufMut;

use crate::message::{Bits, MESSAGES_PER_PAGE, Page, SealedPage, Slot};
use crate::place::Home;
use crate::varint::{self, Cursor};
use crate::{Lsn, Place};

/// What the next message is expected to look like.
#[derive(Clone, Copy, Default)]
struct Previous {
    lsn: u64,
    end: u32,
    header_bytes: u32,
    body_bytes: u32,
}

/// The messages of a page that are not dead.
pub(super) fn alive(page: &SealedPage) -> impl Iterator<Item = &Slot> {
    page.slots.iter().enumerate().filter(|(index, _)| !page.dead.contains(*index)).map(|(_, slot)| slot)
}

/// Writes the part of a page that survives a restart: a transient message of a durable queue does not. The lowest and the
/// highest entry that it names.
pub(super) fn write(page: &SealedPage, out: &mut Vec<u8>) -> Option<(Lsn, Lsn)> {
    let mut kept = Bits::default();
    let mut delivered = Bits::default();
    for (index, slot) in page.slots.iter().enumerate() {
        if !page.dead.contains(index) && matches!(slot.place.home(), Home::Entry(_)) {
            kept.insert(index);
            if page.delivered.contains(index) {
                delivered.insert(index);
            }
        }
    }
    varint::write(out, page.slots.len() as u64);
    write_bits(&kept, out);
    out.put_u8(u8::from(delivered.count() > 0));
    if delivered.count() > 0 {
        write_bits(&delivered, out);
    }
    let (mut previous, mut entries) = (Previous::default(), None);
    for (_, slot) in page.slots.iter().enumerate().filter(|(index, _)| kept.contains(*index)) {
        previous = write_slot(slot, previous, out);
        let lsn = Lsn(previous.lsn);
        entries =
            Some(entries.map_or((lsn, lsn), |(first, last): (Lsn, Lsn)| (first.min(lsn), last.max(lsn))));
    }
    entries
}

pub(super) fn read(cursor: &mut Cursor) -> Option<Page> {
    let count = usize::try_from(cursor.varint()?).ok().filter(|count| *count <= MESSAGES_PER_PAGE)?;
    let kept = read_bits(cursor)?;
    let delivered = if cursor.u8()? == 1 { read_bits(cursor)? } else { Bits::default() };
    let mut dead = Bits::default();
    let mut slots = Vec::with_capacity(count);
    let mut previous = Previous::default();
    for index in 0..count {
        if kept.contains(index) {
            let slot = read_slot(cursor, previous)?;
            previous = Previous::of(&slot)?;
            slots.push(slot);
        } else {
            dead.insert(index);
            slots.push(Slot::SKIPPED);
        }
    }
    Some(Page::restored(slots, dead, delivered))
}

impl Previous {
    fn of(slot: &Slot) -> Option<Self> {
        let Home::Entry(lsn) = slot.place.home() else { return None };
        Some(Self {
            lsn: lsn.0,
            end: slot.place.offset.checked_add(slot.header_bytes)?.checked_add(slot.body_bytes)?,
            header_bytes: slot.header_bytes,
            body_bytes: slot.body_bytes,
        })
    }
}

fn write_slot(slot: &Slot, previous: Previous, out: &mut Vec<u8>) -> Previous {
    let Home::Entry(lsn) = slot.place.home() else { unreachable!("only journaled messages are kept") };
    let expected_offset = if lsn.0 == previous.lsn { previous.end } else { 0 };
    write_signed(out, lsn.0, previous.lsn);
    write_signed(out, slot.place.offset.into(), expected_offset.into());
    write_signed(out, slot.header_bytes.into(), previous.header_bytes.into());
    write_signed(out, slot.body_bytes.into(), previous.body_bytes.into());
    Previous::of(slot).expect("an envelope ends inside its entry")
}

fn read_slot(cursor: &mut Cursor, previous: Previous) -> Option<Slot> {
    let lsn = read_signed(cursor, previous.lsn)?;
    let expected_offset = if lsn == previous.lsn { previous.end } else { 0 };
    let offset = read_signed(cursor, expected_offset.into())?;
    let header_bytes = read_signed(cursor, previous.header_bytes.into())?;
    let body_bytes = read_signed(cursor, previous.body_bytes.into())?;
    if lsn >= 1 << 63 {
        return None;
    }
    Some(Slot {
        place: Place::in_entry(Lsn(lsn), offset.try_into().ok()?),
        header_bytes: header_bytes.try_into().ok()?,
        body_bytes: body_bytes.try_into().ok()?,
    })
}

/// Writes the difference as zigzag: small in both directions.
fn write_signed(out: &mut Vec<u8>, value: u64, before: u64) {
    let difference = value.wrapping_sub(before) as i64;
    varint::write(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

fn read_signed(cursor: &mut Cursor, before: u64) -> Option<u64> {
    let zigzag = cursor.varint()?;
    let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    Some(before.wrapping_add(difference as u64))
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

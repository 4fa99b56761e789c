//! Slots in a few bytes each, for messages that nobody works on.
//!
//! ```text
//! for each slot, against the one before it (varints, signed ones zigzag):
//!   entry - entry before
//!   offset - end of the envelope before, if the entry is the same; else the offset
//!   header bytes - header bytes before
//!   body bytes - body bytes before
//! ```
//!
//! Four bytes for a message that is like the one before it, instead of 24.

use bytes::Bytes;

use super::bits::Bits;
use super::slot::Slot;
use super::volume::Volume;
use crate::place::Home;
use crate::varint::{self, Cursor};
use crate::{Lsn, Place};

/// The living slots of a page, all of them in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    bytes: Bytes,
    volume: Volume,
}

impl Packed {
    /// Packs the slots that are not dead. `None` if one of them is not in the journal.
    pub(crate) fn of(slots: &[Slot], dead: &Bits) -> Option<Self> {
        let (mut bytes, mut volume, mut previous) = (Vec::new(), Volume::default(), Previous::default());
        for (_, slot) in slots.iter().enumerate().filter(|(index, _)| !dead.contains(*index)) {
            if let Home::Volatile(_) = slot.place.home() {
                return None;
            }
            previous = write_slot(slot, previous, &mut bytes);
            volume.add(slot);
        }
        // No more memory than it takes: that is what it is for.
        Some(Self { bytes: bytes.into_boxed_slice().into(), volume })
    }

    /// Slots as a run keeps them: so many, up to the end. `None` if they make no sense.
    pub(crate) fn read(cursor: &mut Cursor, messages: usize) -> Option<Self> {
        let bytes = cursor.rest();
        let (mut volume, mut previous) = (Volume::default(), Previous::default());
        for _ in 0..messages {
            let slot;
            (slot, previous) = read_slot(cursor, previous)?;
            volume.add(&slot);
        }
        cursor.is_empty().then_some(Self { bytes, volume })
    }

    /// Slots as a run keeps them, up to the end, with what is known of them. The run vouches for both: a start looks at no message.
    pub(crate) fn unread(cursor: &mut Cursor, volume: Volume) -> Self {
        let bytes = cursor.rest();
        cursor.finish();
        Self { bytes, volume }
    }

    /// All slots of a page of so many, the dead ones among them.
    pub(crate) fn unpacked(&self, count: usize, dead: &Bits) -> Vec<Slot> {
        let (mut cursor, mut previous) = (Cursor::new(self.bytes.clone()), Previous::default());
        let mut next = |index: usize| {
            if dead.contains(index) {
                return Slot::SKIPPED;
            }
            let slot;
            (slot, previous) = read_slot(&mut cursor, previous).expect("it was read, or packed, before");
            slot
        };
        (0..count).map(&mut next).collect()
    }

    /// Bytes of memory.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn volume(&self) -> Volume {
        self.volume
    }
}

/// What the next slot is expected to look like.
#[derive(Clone, Copy, Default)]
pub(crate) struct Previous {
    lsn: u64,
    end: u32,
    header_bytes: u32,
    body_bytes: u32,
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

    /// The entry of the slot before.
    pub(crate) fn lsn(self) -> Lsn {
        Lsn(self.lsn)
    }
}

/// Writes a slot, which is in the journal.
pub(crate) fn write_slot(slot: &Slot, previous: Previous, out: &mut Vec<u8>) -> Previous {
    let Home::Entry(lsn) = slot.place.home() else { unreachable!("only journaled messages are kept") };
    let expected_offset = if lsn.0 == previous.lsn { previous.end } else { 0 };
    write_signed(out, lsn.0, previous.lsn);
    write_signed(out, slot.place.offset.into(), expected_offset.into());
    write_signed(out, slot.header_bytes.into(), previous.header_bytes.into());
    write_signed(out, slot.body_bytes.into(), previous.body_bytes.into());
    Previous::of(slot).expect("an envelope ends inside its entry")
}

/// Reads a slot. `None` if it makes no sense.
fn read_slot(cursor: &mut Cursor, previous: Previous) -> Option<(Slot, Previous)> {
    // A message that is like the one before, as most are, differs by little in all four.
    let [lsn, offset, header_bytes, body_bytes] = match cursor.four_below_128() {
        Some(four) => four.map(|zigzag| difference(zigzag.into())),
        None => {
            let mut next = || cursor.varint().map(difference);
            [next()?, next()?, next()?, next()?]
        }
    };
    let after = |before: u64, difference: i64| before.wrapping_add(difference as u64);
    let lsn = after(previous.lsn, lsn);
    let expected_offset = if lsn == previous.lsn { previous.end } else { 0 };
    let offset = after(expected_offset.into(), offset);
    let header_bytes = after(previous.header_bytes.into(), header_bytes);
    let body_bytes = after(previous.body_bytes.into(), body_bytes);
    if lsn >= 1 << 63 {
        return None;
    }
    let slot = Slot {
        place: Place::in_entry(Lsn(lsn), offset.try_into().ok()?),
        header_bytes: header_bytes.try_into().ok()?,
        body_bytes: body_bytes.try_into().ok()?,
    };
    Some((slot, Previous::of(&slot)?))
}

/// Writes the difference as zigzag: small in both directions.
fn write_signed(out: &mut Vec<u8>, value: u64, before: u64) {
    let difference = value.wrapping_sub(before) as i64;
    varint::write(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// What was written as zigzag.
fn difference(zigzag: u64) -> i64 {
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(entry: u64, offset: u32, body_bytes: u32) -> Slot {
        Slot { place: Place::in_entry(Lsn(entry), offset), header_bytes: 20, body_bytes }
    }

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let slots =
            [slot(7, 30, 100), slot(7, 150, 100), slot(9, 8, 5), slot(3, 1000, 0), slot(9, 8, 1 << 30)];
        let mut dead = Bits::default();
        dead.insert(1);
        let packed = Packed::of(&slots, &dead).unwrap();
        assert_eq!(packed.volume(), Volume { messages: 4, body_bytes: 105 + (1 << 30) });
        let mut expected = slots;
        expected[1] = Slot::SKIPPED;
        assert_eq!(packed.unpacked(5, &dead), expected);
        let read = Packed::read(&mut Cursor::new(packed.bytes.clone()), 4).unwrap();
        assert_eq!((read.unpacked(5, &dead), read.volume()), (expected.to_vec(), packed.volume()));
        assert!(Packed::read(&mut Cursor::new(packed.bytes.clone()), 3).is_none(), "something is left");
        assert!(Packed::read(&mut Cursor::new(packed.bytes), 5).is_none());
    }

    #[test]
    fn messages_of_a_kind_take_four_bytes_each() {
        let slots: Vec<Slot> = (0..512).map(|number| slot(1, 100 * number, 80)).collect();
        let packed = Packed::of(&slots, &Bits::default()).unwrap();
        assert!(packed.bytes.len() < 4 * 512 + 10, "{}", packed.bytes.len());
    }

    #[test]
    fn what_is_in_memory_alone_is_not_packed() {
        let transient = Slot { place: Place::in_block(3, 0), header_bytes: 1, body_bytes: 1 };
        assert!(Packed::of(&[slot(1, 0, 1), transient], &Bits::default()).is_none());
    }
}

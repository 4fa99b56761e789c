//! Where something is in a log, and under whose reign it was written.

use std::fmt;

/// The number of one entry of a log ("log sequence number").
///
/// The caller numbers its entries itself: the first is 1, each further one is one more, without a gap, across
/// restarts and fail-overs. 0 stands for "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before everything: no entry has this number.
    pub const ZERO: Lsn = Lsn(0);

    /// The number of the entry behind this one; of the highest number, which no log reaches, itself.
    #[must_use]
    pub fn next(self) -> Lsn {
        Lsn(self.0.saturating_add(1))
    }

    /// The number of the entry in front of this one; of [`Lsn::ZERO`], itself.
    #[must_use]
    pub fn previous(self) -> Lsn {
        Lsn(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The reign under which a log is written; a higher one deposes all lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A place behind an entry of a log, as an engine names it to itself.
///
/// Opaque, at most [`Cursor::BYTES_MAX`] bytes, only good for the engine and log that made it. Callers store
/// it beside a checkpoint and hand it back to [`Journal::claim`](crate::Journal::claim).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    bytes: [u8; Cursor::BYTES_MAX],
    len: u8,
}

impl Cursor {
    /// The longest cursor an engine may make, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A cursor out of the bytes that [`Cursor::as_bytes`] once gave.
    ///
    /// # Errors
    /// [`CursorError`] when there are more than [`Cursor::BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Cursor, CursorError> {
        if bytes.len() > Cursor::BYTES_MAX {
            return Err(CursorError { bytes: bytes.len() });
        }
        let mut cursor = Cursor { bytes: [0; Cursor::BYTES_MAX], len: bytes.len() as u8 };
        cursor.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(cursor)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The cursor of engines that find an entry by its number alone.
    pub(crate) fn behind(lsn: Lsn) -> Cursor {
        let mut cursor = Cursor { bytes: [0; Cursor::BYTES_MAX], len: 9 };
        cursor.bytes[0] = BEHIND_LSN;
        cursor.bytes[1..9].copy_from_slice(&lsn.0.to_le_bytes());
        cursor
    }

    /// The entry that a cursor of [`Cursor::behind`] stands behind; `None` for the cursors of other engines.
    pub(crate) fn lsn(&self) -> Option<Lsn> {
        let (&kind, number) = self.as_bytes().split_first()?;
        let number = number.try_into().ok()?;
        (kind == BEHIND_LSN).then(|| Lsn(u64::from_le_bytes(number)))
    }
}

/// First byte of the cursors that hold nothing but an entry's number.
const BEHIND_LSN: u8 = 1;

impl fmt::Debug for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cursor(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str(")")
    }
}

/// Bytes that no engine can have made a cursor of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a journal cursor has {bytes} bytes, but at most {} are possible; it was stored damaged",
    Cursor::BYTES_MAX
)]
pub struct CursorError {
    /// How many bytes were handed in.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_survives_being_stored() {
        let cursor = Cursor::behind(Lsn(77));
        let restored = Cursor::from_bytes(cursor.as_bytes()).unwrap();
        assert_eq!(restored, cursor);
        assert_eq!(restored.lsn(), Some(Lsn(77)));
    }

    #[test]
    fn cursor_of_another_engine_names_no_lsn() {
        assert_eq!(Cursor::from_bytes(b"").unwrap().lsn(), None);
        assert_eq!(Cursor::from_bytes(&[2; 9]).unwrap().lsn(), None);
        assert_eq!(Cursor::from_bytes(&[1; 12]).unwrap().lsn(), None);
    }

    #[test]
    fn cursor_refuses_65_bytes() {
        assert_eq!(Cursor::from_bytes(&[0; 65]), Err(CursorError { bytes: 65 }));
    }
}

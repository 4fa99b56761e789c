//! Where a message's envelope lies outside the core.

/// The position of a journal entry. Contiguous; the first entry of a log is 1, and 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before the first entry: what waits for it waits for nothing.
    pub const NONE: Self = Self(0);

    /// The entry after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where an envelope lies: a journal entry, or a volatile block, and the offset inside it.
///
/// A place is given once and never changes, however often the bytes behind it move between memory and
/// files. 12 bytes in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    home: u64,
    /// Offset of the envelope inside its entry or block, in bytes.
    pub offset: u32,
}

/// What holds an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// A journal entry: it survives a restart once it is durable.
    Entry(Lsn),
    /// A block of transient envelopes, by number: gone with the process.
    Volatile(u64),
}

impl Place {
    const VOLATILE: u64 = 1 << 63;

    /// A place inside a journal entry.
    #[must_use]
    pub const fn in_entry(lsn: Lsn, offset: u32) -> Self {
        debug_assert!(lsn.0 & Self::VOLATILE == 0);
        Self { home: lsn.0, offset }
    }

    /// A place inside a volatile block.
    #[must_use]
    pub const fn in_block(block: u64, offset: u32) -> Self {
        debug_assert!(block & Self::VOLATILE == 0);
        Self { home: block | Self::VOLATILE, offset }
    }

    /// What holds the envelope.
    #[must_use]
    pub fn home(self) -> Home {
        if self.home & Self::VOLATILE == 0 {
            Home::Entry(Lsn(self.home))
        } else {
            Home::Volatile(self.home & !Self::VOLATILE)
        }
    }

    /// The position that must be durable before this envelope may be shown to anyone.
    #[must_use]
    pub fn durable_at(self) -> Lsn {
        match self.home() {
            Home::Entry(lsn) => lsn,
            Home::Volatile(_) => Lsn::NONE,
        }
    }
}

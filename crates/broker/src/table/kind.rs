//! Which tables there are.

/// A table whose rows stay on disk until somebody wants them.
///
/// This is the one list of them, with what is special about each; docs/decisions/0016-cold-tables.md says what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableKind {
    /// Deduplication keys of messages.
    Deduplication,
    /// Attempts of messages.
    Attempts,
    /// Groups of messages.
    Groups,
    /// Keys of tasks.
    TaskKeys,
    /// Members of groups, in order.
    Lanes,
    /// Turns of groups.
    Turns,
    /// What is due at a time of its own.
    Schedule,
    /// When messages end.
    Times,
    /// What there may be only one of.
    Unique,
}

impl TableKind {
    /// All of them, in the order of their letters.
    pub const ALL: [Self; 9] = [
        Self::Deduplication,
        Self::Attempts,
        Self::Groups,
        Self::TaskKeys,
        Self::Lanes,
        Self::Turns,
        Self::Schedule,
        Self::Times,
        Self::Unique,
    ];

    /// The first byte of the keys of its rows in a run.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Deduplication => b'D',
            Self::Attempts => b'E',
            Self::Groups => b'G',
            Self::TaskKeys => b'K',
            Self::Lanes => b'L',
            Self::Turns => b'R',
            Self::Schedule => b'S',
            Self::Times => b'T',
            Self::Unique => b'U',
        }
    }

    /// The table that the row of this key, as a run has it, is of; nothing if that is always in memory.
    #[must_use]
    pub fn of(row_key: &[u8]) -> Option<Self> {
        let letter = row_key.first()?;
        Self::ALL.into_iter().find(|kind| kind.letter() == *letter)
    }

    /// Whether its rows are mostly looked up one by one, and mostly are not there: then runs have filters for them. The others are
    /// read in order.
    #[must_use]
    pub const fn is_read_by_point(self) -> bool {
        match self {
            Self::Deduplication | Self::Attempts | Self::Groups | Self::TaskKeys | Self::Unique => true,
            Self::Lanes | Self::Turns | Self::Schedule | Self::Times => false,
        }
    }

    /// The key that a run has for the row of this key.
    #[must_use]
    pub fn row_key(self, key: &[u8]) -> Vec<u8> {
        [&[self.letter()], key].concat()
    }

    /// The first key that a run may have behind the rows up to `below`; nothing: behind all of the table.
    #[must_use]
    pub fn row_key_below(self, below: Option<&[u8]>) -> Vec<u8> {
        below.map_or_else(|| vec![self.letter() + 1], |below| self.row_key(below))
    }
}

/// Whether runs have filters for rows with such a key.
#[must_use]
pub fn is_read_by_point(row_key: &[u8]) -> bool {
    TableKind::of(row_key).is_some_and(TableKind::is_read_by_point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_ascend_and_are_those_of_no_other_table() {
        let letters = TableKind::ALL.map(TableKind::letter);
        assert!(letters.is_sorted_by(|one, next| one < next));
        assert!(letters.iter().all(|letter| !b"AMPQW".contains(letter)));
        assert!(TableKind::ALL.iter().all(|kind| TableKind::of(&kind.row_key(b"key")) == Some(*kind)));
    }
}

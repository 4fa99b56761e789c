//! Which rows a merge leaves out: the one place for such rules.

use crate::run::Row;

/// What a merge knows when it asks whether a row is dead.
///
/// A rule may look at the row and at what is true at the position of the manifest. It has to be true of all older rows of the key as
/// well: where older runs are left, they would come to light again. Where it may not be, the row has to be written as one that is
/// gone instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadRows {
    /// No older run is left that might have rows of the same keys.
    pub(super) is_oldest: bool,
}

impl DeadRows {
    pub(super) fn is_dead(self, row: &Row) -> bool {
        row.value.is_none() && self.is_oldest
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn only_in_the_oldest_run_nobody_has_to_say_that_a_row_is_gone() {
        let row = |value: Option<&'static [u8]>| Row {
            key: Bytes::from_static(b"Dkey"),
            value: value.map(Bytes::from_static),
            entries: None,
            is_alone: false,
        };
        let dead = |is_oldest, value| DeadRows { is_oldest }.is_dead(&row(value));
        assert!(dead(true, None));
        assert!(!dead(false, None) && !dead(true, Some(b"")) && !dead(false, Some(b"")));
    }
}

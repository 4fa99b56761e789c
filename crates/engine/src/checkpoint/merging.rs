//! When runs are merged into one.

use std::sync::Arc;

use crate::run::{Kind, Run, Weight};

/// Runs of a size are merged when there are so many of them.
const FANOUT: usize = 6;
/// Smaller runs are all of one size.
const BYTES_MIN: u64 = 64 * 1024;

/// How many runs, from the newest on, want to be merged into one; `None` if none do.
///
/// Six of a size become one of the next size, so each row is written again once a size: 1 + log6(state / flush) times in all. And
/// where half of the bytes are of rows that are gone, as far as can be told, all become one: so files take no more than twice what
/// lives, and what is written for that is no more than what is freed.
pub(super) fn due(runs: &[Arc<Run>]) -> Option<usize> {
    let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
    if runs.len() > 1 && bytes > BYTES_MIN && bytes_gone(runs) > bytes / 2 {
        return Some(runs.len());
    }
    let sizes: Vec<u32> = runs.iter().map(|run| size(run.bytes)).collect();
    let largest = sizes.iter().copied().max()?;
    (0..=largest).find_map(|size| {
        let count = sizes.iter().take_while(|other| **other <= size).count();
        let of_size = sizes[..count].iter().filter(|other| **other == size).count();
        (of_size >= FANOUT).then_some(count)
    })
}

/// An estimate: each row that is gone takes another along that is as large as rows of its kind are on the average.
fn bytes_gone(runs: &[Arc<Run>]) -> u64 {
    let gone = |kind: fn(&Weight) -> Kind| {
        let sum = runs.iter().map(|run| kind(&run.weight)).fold(Kind::default(), Kind::and);
        (sum.bytes * sum.gone).checked_div(sum.rows).unwrap_or(0)
    };
    gone(|weight| weight.alone) + gone(|weight| weight.others)
}

fn size(bytes: u64) -> u32 {
    (bytes / BYTES_MIN).max(1).ilog(FANOUT as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of so many bytes, so many rows with a value, and so many that are gone.
    fn due_of(sizes: &[(u64, u64, u64)]) -> Option<usize> {
        let run = |(bytes, rows, gone): &(u64, u64, u64)| {
            let alone = Kind { bytes: *bytes, rows: *rows, gone: *gone };
            let weight = Weight { alone, others: Kind::default() };
            let (index, filters) = (crate::run::Index::default(), crate::run::Filters::default());
            Arc::new(Run { number: 1, bytes: *bytes, checksum: 0, rows: rows + gone, weight, index, filters })
        };
        due(&sizes.iter().map(run).collect::<Vec<_>>())
    }

    #[test]
    fn six_of_a_size_are_merged() {
        let small = (1000, 10, 0);
        assert_eq!(due_of(&[]), None);
        assert_eq!(due_of(&[small; 5]), None);
        assert_eq!(due_of(&[small; 6]), Some(6));
        let large = (100 * BYTES_MIN, 10_000, 0);
        assert_eq!(due_of(&[small, small, small, small, small, large]), None);
        assert_eq!(due_of(&[small, small, small, small, small, small, large]), Some(6));
        assert_eq!(due_of(&[small, large, large, large, large, large, large]), Some(7));
        assert_eq!(
            due_of(&[large, small, small, small, small, small, small]),
            None,
            "no others come between"
        );
    }

    #[test]
    fn each_row_is_written_once_a_size() {
        let (mut runs, mut written, flushes) = (Vec::<(u64, u64, u64)>::new(), 0, 1296);
        for _ in 0..flushes {
            runs.insert(0, (BYTES_MIN, 100, 0));
            written += BYTES_MIN;
            while let Some(count) = due_of(&runs) {
                let bytes: u64 = runs.drain(..count).map(|run| run.0).sum();
                runs.insert(0, (bytes, bytes / BYTES_MIN * 100, 0));
                written += bytes;
            }
        }
        assert!(written <= flushes * BYTES_MIN * 5, "{written}");
        assert!(runs.len() <= 4 * (FANOUT - 1), "{runs:?}");
    }

    #[test]
    fn what_is_gone_is_cleared_away() {
        let base = (100 * BYTES_MIN, 1000, 0);
        assert_eq!(due_of(&[(BYTES_MIN, 0, 400), base]), None);
        assert_eq!(due_of(&[(BYTES_MIN, 0, 600), base]), Some(2));
        assert_eq!(due_of(&[(BYTES_MIN, 0, 600)]), None, "alone there is nothing to clear away");
    }

    #[test]
    fn many_small_rows_that_are_gone_do_not_have_large_ones_written_again() {
        let pages =
            Weight { alone: Kind { bytes: 70 << 20, rows: 20_000, gone: 0 }, others: Kind::default() };
        let tasks =
            |gone| Weight { alone: Kind::default(), others: Kind { bytes: 15 << 20, rows: 100_000, gone } };
        let run = |bytes, weight| {
            let (index, filters) = (crate::run::Index::default(), crate::run::Filters::default());
            Arc::new(Run { number: 1, bytes, checksum: 0, rows: 1, weight, index, filters })
        };
        let runs = [run(15 << 20, tasks(100_000)), run(70 << 20, pages)];
        assert_eq!(due(&runs), None);
    }
}

//! How long answers took.

use std::time::Duration;

/// How long answers took, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut durations: Vec<_> = durations.into_iter().collect();
        durations.sort_unstable();
        Self(durations)
    }
}

impl Latencies {
    /// How many answers there were.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which so many of a hundred answers came: the smallest one that is long enough. None when there
    /// were no answers.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied()
    }

    /// The percentile as it is shown.
    pub(super) fn shown(&self, percent: usize) -> String {
        self.percentile(percent).map_or_else(|| "-".to_owned(), show)
    }
}

/// A duration with as many digits as one wants to read.
pub(super) fn show(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.1} ms"),
        ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", milliseconds / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let latencies: Latencies = (1..=200).rev().map(Duration::from_millis).collect();
        let at = |percent| latencies.percentile(percent).unwrap().as_millis();
        assert_eq!((at(0), at(50), at(99), at(100)), (1, 100, 198, 200));
        let one = Latencies::from_iter([Duration::from_millis(7)]);
        assert_eq!((one.shown(50), one.shown(99)), ("7.0 ms".to_owned(), "7.0 ms".to_owned()));
        assert_eq!(Latencies::default().shown(50), "-");
    }

    #[test]
    fn durations_are_short_to_read() {
        for (microseconds, shown) in
            [(840, "0.8 ms"), (9_940, "9.9 ms"), (131_400, "131 ms"), (5_020_000, "5.0 s")]
        {
            assert_eq!(show(Duration::from_micros(microseconds)), shown);
        }
    }
}

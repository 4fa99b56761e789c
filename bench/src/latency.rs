//! Latencies: how they are noted and what is told of them.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How long many things took: a histogram of microseconds, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are what there is"))
    }
}

impl Latencies {
    /// Notes one observation.
    pub fn note(&mut self, latency: Duration) {
        // It grows as far as it has to.
        let _ = self.0.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds the observations of another.
    pub fn add(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value, in microseconds, that this share (0 to 1) of the observations does not exceed. `None` if there are none.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_us(0.5), None);
        (1..=100).rev().for_each(|us| latencies.note(Duration::from_micros(us)));
        assert_eq!(
            [0.5, 0.99, 1.0].map(|share| latencies.quantile_us(share)),
            [Some(50), Some(99), Some(100)]
        );
        let mut other = Latencies::default();
        other.note(Duration::from_secs(2));
        latencies.add(&other);
        let slowest = latencies.quantile_us(1.0).unwrap();
        assert!((1_998_000..=2_002_000).contains(&slowest), "{slowest}");
        assert_eq!(latencies.count(), 101);
    }
}

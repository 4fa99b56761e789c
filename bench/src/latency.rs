//! Latencies: how they are noted and what is told of them.

use std::time::Duration;

/// Microseconds of many observations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Notes one observation.
    pub(crate) fn note(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds the observations of another.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value, in microseconds, that this share (0 to 1) of the observations does not exceed.
    pub(crate) fn quantile_us(&mut self, share: f64) -> Option<u32> {
        self.0.sort_unstable();
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_us(0.5), None);
        (1..=100).rev().for_each(|us| latencies.note(Duration::from_micros(us)));
        assert_eq!(latencies.quantile_us(0.5), Some(50));
        assert_eq!(latencies.quantile_us(0.99), Some(99));
        assert_eq!(latencies.quantile_us(1.0), Some(100));
        assert_eq!(latencies.quantile_us(0.0), Some(1));
    }
}

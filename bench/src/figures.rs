//! What was measured of a load.

use std::time::Duration;

use crate::Latencies;

/// What was measured of a load, within the time that counts only.
#[derive(Debug, Default)]
pub struct Figures {
    /// How long it counted.
    pub elapsed: Duration,
    /// Messages that were published and, where there are confirms, confirmed.
    pub published: u64,
    /// Messages that came out.
    pub received: u64,
    /// Processor time of the broker; `None` where it is not known which process it is.
    pub server_cpu: Option<Duration>,
    /// Processor time of the load generator.
    pub own_cpu: Duration,
    /// From when a message should have been sent to its confirm.
    pub confirm: Latencies,
    /// From when a message should have been sent to its delivery.
    pub end_to_end: Latencies,
}

impl Figures {
    /// Messages in, a second.
    #[must_use]
    pub fn in_per_s(&self) -> f64 {
        self.published as f64 / self.elapsed.as_secs_f64()
    }

    /// Messages out, a second.
    #[must_use]
    pub fn out_per_s(&self) -> f64 {
        self.received as f64 / self.elapsed.as_secs_f64()
    }

    /// The broker's processor time for each message that came out, in microseconds.
    #[must_use]
    pub fn server_us(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| self.each_us(cpu))
    }

    /// The generator's processor time for each message that came out, in microseconds.
    #[must_use]
    pub fn own_us(&self) -> f64 {
        self.each_us(self.own_cpu)
    }

    fn each_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.received as f64
    }
}

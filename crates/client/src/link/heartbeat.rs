//! Signs of life.

use std::time::Duration;

use tokio::time::Instant;

/// When to send a heartbeat, and when the peer counts as gone.
///
/// As RabbitMQ's clients do: sends after half an interval of silence, gives up after two intervals without a byte.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// What was agreed; `None` without heartbeats.
    interval: Option<Duration>,
    last_read: Instant,
    last_write: Instant,
}

/// What the time says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing is due.
    Fine,
    /// Time to say something.
    Due,
    /// The peer has been silent for too long.
    Missed,
}

impl Heartbeat {
    pub(super) fn new(interval_s: u16, now: Instant) -> Self {
        let interval = (interval_s > 0).then(|| Duration::from_secs(interval_s.into()));
        Self { interval, last_read: now, last_write: now }
    }

    pub(super) fn read(&mut self, now: Instant) {
        self.last_read = now;
    }

    pub(super) fn written(&mut self, now: Instant) {
        self.last_write = now;
    }

    pub(super) fn check(&self, now: Instant) -> Beat {
        match self.interval {
            Some(interval) if now >= self.last_read + interval * 2 => Beat::Missed,
            Some(interval) if now >= self.last_write + interval / 2 => Beat::Due,
            _ => Beat::Fine,
        }
    }

    pub(super) fn next_check(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some((self.last_read + interval * 2).min(self.last_write + interval / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_after_half_an_interval_and_gives_up_after_two() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heartbeat = Heartbeat::new(10, start);
        assert_eq!(heartbeat.next_check(), Some(at(5000)));
        assert_eq!(heartbeat.check(at(4999)), Beat::Fine);
        assert_eq!(heartbeat.check(at(5000)), Beat::Due);
        heartbeat.written(at(19_000));
        assert_eq!(heartbeat.check(at(19_999)), Beat::Fine);
        assert_eq!(heartbeat.check(at(20_000)), Beat::Missed);
        heartbeat.read(at(20_000));
        assert_eq!(heartbeat.check(at(20_001)), Beat::Fine);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(0, start);
        assert_eq!(heartbeat.check(start + Duration::from_secs(1_000_000)), Beat::Fine);
        assert_eq!(heartbeat.next_check(), None);
    }
}

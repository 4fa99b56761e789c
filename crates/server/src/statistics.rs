//! What the shell counts. Each number only grows; differences are gauges.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. Adding costs one relaxed atomic addition.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened on the sockets of this server since it started.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// Connections accepted.
    pub(crate) connections_opened: Counter,
    /// Of those, the ones that are gone.
    pub(crate) connections_closed: Counter,
    /// Logins tried.
    pub(crate) logins_attempted: Counter,
    /// Logins refused.
    pub(crate) logins_refused: Counter,
    /// Bytes read from AMQP clients.
    pub(crate) bytes_received: Counter,
    /// Bytes written to AMQP clients.
    pub(crate) bytes_sent: Counter,
}

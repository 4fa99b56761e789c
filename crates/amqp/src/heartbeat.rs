//! Signs of life.

use broker::Timestamp;

/// When the peer was last heard, when something was last sent to it, and what follows from that.
///
/// The server sends a heartbeat when nothing was sent for half an interval, and gives a peer up that was silent for
/// two whole intervals. Any byte counts as a sign of life, in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// Milliseconds; 0 for no heartbeats.
    interval_ms: u64,
    heard: Timestamp,
    sent: Timestamp,
    /// Nobody can be heard while nobody listens.
    is_listening: bool,
}

impl Heartbeat {
    /// No heartbeats yet: they begin with `tune-ok`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { interval_ms: 0, heard: now, sent: now, is_listening: true }
    }

    /// Starts with the interval that the client chose.
    pub(crate) fn start(&mut self, now: Timestamp, interval_s: u16) {
        *self = Self { interval_ms: u64::from(interval_s) * 1000, heard: now, sent: now, ..*self };
    }

    /// Bytes came from the peer.
    pub(crate) fn heard(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// Bytes go to the peer.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        self.sent = now;
    }

    /// The shell has stopped reading, or reads again.
    pub(crate) fn set_listening(&mut self, now: Timestamp, is_listening: bool) {
        if is_listening && !self.is_listening {
            self.heard = now;
        }
        self.is_listening = is_listening;
    }

    /// Whether the peer is given up.
    pub(crate) fn is_lost(&self, now: Timestamp) -> bool {
        self.lost_at().is_some_and(|at| at <= now)
    }

    /// Whether a heartbeat is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due_at().is_some_and(|at| at <= now)
    }

    /// When to look again.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.due_at().into_iter().chain(self.lost_at()).min()
    }

    fn due_at(&self) -> Option<Timestamp> {
        (self.interval_ms > 0).then(|| Timestamp(self.sent.0 + self.interval_ms / 2))
    }

    fn lost_at(&self) -> Option<Timestamp> {
        (self.interval_ms > 0 && self.is_listening).then(|| Timestamp(self.heard.0 + 2 * self.interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Heartbeat {
        let mut heartbeat = Heartbeat::new(Timestamp(0));
        heartbeat.start(Timestamp(1000), 10);
        heartbeat
    }

    #[test]
    fn is_due_after_half_an_interval_of_silence() {
        let mut heartbeat = started();
        assert!(!heartbeat.is_due(Timestamp(5999)));
        assert!(heartbeat.is_due(Timestamp(6000)));
        assert_eq!(heartbeat.next_deadline(), Some(Timestamp(6000)));
        heartbeat.sent(Timestamp(6000));
        assert!(!heartbeat.is_due(Timestamp(10_999)));
    }

    #[test]
    fn the_peer_is_lost_after_two_intervals_of_silence() {
        let mut heartbeat = started();
        assert!(!heartbeat.is_lost(Timestamp(20_999)));
        assert!(heartbeat.is_lost(Timestamp(21_000)));
        heartbeat.heard(Timestamp(20_000));
        assert!(!heartbeat.is_lost(Timestamp(39_999)));
    }

    #[test]
    fn nobody_is_lost_while_nobody_listens() {
        let mut heartbeat = started();
        heartbeat.set_listening(Timestamp(2000), false);
        assert!(!heartbeat.is_lost(Timestamp(1_000_000)));
        heartbeat.set_listening(Timestamp(1_000_000), true);
        assert!(!heartbeat.is_lost(Timestamp(1_019_999)));
        assert!(heartbeat.is_lost(Timestamp(1_020_000)));
    }

    #[test]
    fn an_interval_of_0_means_none() {
        let mut heartbeat = started();
        heartbeat.start(Timestamp(0), 0);
        assert!(!heartbeat.is_due(Timestamp(u64::MAX)) && !heartbeat.is_lost(Timestamp(u64::MAX)));
        assert_eq!(heartbeat.next_deadline(), None);
    }
}

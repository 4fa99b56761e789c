//! Kills at chosen moments.

use std::fmt;
use std::time::{Duration, Instant};

use crate::support::Fresh;

/// On which side of a commit the kills of a test fell.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// Nothing was stored.
    before: u32,
    /// Stored, and nobody was told.
    between: u32,
    /// Stored and told.
    after: u32,
}

/// What a commit takes at least on a server that has just started, whatever it took on a warm one.
const COMMIT_MIN: Duration = Duration::from_micros(1500);
/// One slow commit must not make all rounds wait.
const COMMIT_MAX: Duration = Duration::from_millis(20);

/// Moments for kills, spread evenly from at once to twice the time that the thing usually takes.
pub(super) fn sweep(rounds: u32, usual: Duration) -> impl Iterator<Item = Duration> {
    let usual = usual.clamp(COMMIT_MIN, COMMIT_MAX);
    (0..rounds).map(move |round| 2 * usual * round / rounds.max(1))
}

/// Kills the server after so much time and starts it again on the same data. What it had sent can still be read by those
/// who were connected.
pub(super) fn kill_after(fresh: &mut Fresh, delay: Duration) {
    // Turning round is exact to the microsecond; a sleep is not.
    let started = Instant::now();
    while started.elapsed() < delay {
        std::hint::spin_loop();
    }
    fresh.server.kill().unwrap();
    fresh.server.restart().unwrap();
}

/// Kills the server now and starts it again on the same data.
pub(super) fn kill(fresh: &mut Fresh) {
    kill_after(fresh, Duration::ZERO);
}

/// How long something takes.
pub(super) fn time(action: impl FnOnce()) -> Duration {
    let started = Instant::now();
    action();
    started.elapsed()
}

impl Sides {
    /// Counts a kill. What was told has to be stored.
    #[track_caller]
    pub(super) fn count(&mut self, stored: bool, told: bool) {
        assert!(stored || !told, "told, but not stored (P1)");
        *match (stored, told) {
            (false, _) => &mut self.before,
            (true, false) => &mut self.between,
            (true, true) => &mut self.after,
        } += 1;
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, between, after } = self;
        write!(
            formatter,
            "killed {before} times before the commit, {between} between commit and answer, {after} after the answer"
        )
    }
}

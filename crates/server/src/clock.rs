//! The time that the core is told.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::Timestamp;

/// The wall clock as it stood when the process began, and the steady clock at the same moment.
///
/// The core must never see time run backwards, so the wall clock is read once and the steady clock carries it
/// on. A correction of the machine's clock is seen after the next start.
static START: LazyLock<(Instant, Duration)> =
    LazyLock::new(|| (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()));

/// The time now. Never runs backwards within a process. Costs one reading of the steady clock.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let (started, wall) = *START;
    Timestamp((wall + started.elapsed()).as_millis() as u64)
}

/// The moment on the steady clock that a time stands for; one that lies in the past gives about now.
#[must_use]
pub(crate) fn instant(time: Timestamp) -> Instant {
    let ahead = time.0.saturating_sub(now().0);
    // A deadline of centuries would overflow the clock; nobody can tell it from a year.
    Instant::now() + Duration::from_millis(ahead).min(Duration::from_secs(365 * 86_400))
}

/// How long this process has been running, to the precision of its first look at the clock.
#[must_use]
pub(crate) fn uptime() -> Duration {
    START.0.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_keep_their_distance() {
        let ahead = instant(Timestamp(now().0 + 1000)) - Instant::now();
        assert!(ahead > Duration::from_millis(990) && ahead <= Duration::from_millis(1001), "{ahead:?}");
        assert!(instant(Timestamp(u64::MAX)) > Instant::now());
        assert!(instant(Timestamp(0)) <= Instant::now());
    }
}

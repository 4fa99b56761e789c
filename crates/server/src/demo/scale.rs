//! How large the demonstration is.

use std::time::Duration;

use super::DemoError;

/// How large the demonstration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Callers of the provider itself, one step after the other.
    pub(super) direct_callers: [usize; 3],
    /// Callers whose messages go through the queue.
    pub(super) callers: usize,
    /// Messages that each of them sends, one after the other.
    pub(super) messages_each: usize,
    /// Worker processes.
    pub(super) workers: usize,
    /// After how long without a sign of life a worker's tasks go to another one.
    pub(super) lease: Duration,
}

/// Descriptors that each caller takes in this process: both ends of its line, and both of the line behind it.
const DESCRIPTORS_EACH: u64 = 4;
/// Descriptors for everything else.
const DESCRIPTORS_RESERVED: u64 = 100;

impl Scale {
    /// What a newcomer sees: below 30 s.
    pub(crate) const FULL: Self = Self {
        direct_callers: [50, 200, 500],
        callers: 500,
        messages_each: 2,
        workers: 2,
        lease: Duration::from_secs(2),
    };

    /// Everything, but little of it: some seconds.
    pub(crate) const SMALL: Self = Self {
        direct_callers: [5, 10, 20],
        callers: 60,
        messages_each: 1,
        workers: 2,
        lease: Duration::from_secs(1),
    };

    /// Refuses a machine that does not let so many lines be open.
    pub(super) fn check(&self, descriptors_max: Option<u64>) -> Result<(), DemoError> {
        let callers = self.direct_callers.iter().copied().fold(self.callers, usize::max);
        let needed = callers as u64 * DESCRIPTORS_EACH + DESCRIPTORS_RESERVED;
        match descriptors_max {
            Some(limit) if limit < needed => Err(DemoError::Descriptors { limit, needed }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_too_few_descriptors_is_refused_by_number() {
        assert!(Scale::FULL.check(Some(2100)).is_ok() && Scale::FULL.check(None).is_ok());
        let refusal = Scale::FULL.check(Some(1024)).unwrap_err().to_string();
        assert!(refusal.contains("1024") && refusal.contains("ulimit -n 2100"), "{refusal}");
    }
}

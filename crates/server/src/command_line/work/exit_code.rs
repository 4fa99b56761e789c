//! What the end of a program says.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What the end of a program says of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Done.
    Done,
    /// It failed; how, and whether another attempt may help.
    Failed {
        /// How it ended, in words.
        title: String,
        /// Whether another attempt may help.
        retry: bool,
    },
}

/// Those who have a word for "do not try again": `EX_DATAERR` of sysexits.h, and qmail's and daemontools' permanent
/// failure. Their words for "try again", 75 and 111, need no list, since every other code means that.
const FOR_GOOD: [i32; 2] = [65, 100];

impl Verdict {
    /// The verdict of a program that ended like this.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Done,
            (Some(code), _) => Self::Failed {
                title: format!("The program ended with exit code {code}"),
                retry: !FOR_GOOD.contains(&code),
            },
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                Self::Failed { title: format!("The program was ended by signal {signal}"), retry: true }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(wait_status: i32) -> Option<bool> {
        match Verdict::of(ExitStatus::from_raw(wait_status)) {
            Verdict::Done => None,
            Verdict::Failed { retry, .. } => Some(retry),
        }
    }

    #[test]
    fn only_two_codes_are_for_good() {
        let exit = |code: i32| retries(code << 8);
        assert_eq!(exit(0), None);
        for code in [65, 100] {
            assert_eq!(exit(code), Some(false), "{code}");
        }
        for code in [1, 2, 75, 111, 126, 127, 255] {
            assert_eq!(exit(code), Some(true), "{code}");
        }
    }

    #[test]
    fn a_signal_is_worth_another_attempt() {
        assert_eq!(retries(9), Some(true));
    }
}

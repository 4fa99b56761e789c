//! How it went for the callers.

use serde::{Deserialize, Serialize};

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 200, and the caller's own answer.
    Correct,
    /// 200, and something else.
    Wrong(String),
    /// 202: the time to wait was up.
    Late,
    /// Any other status.
    Refused(String),
    /// The connection broke, or what came was no HTTP.
    Broken(String),
}

/// Running totals of some callers. Calls that are sent and in no other field have no answer yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Connections that are open and have been used once.
    pub(super) opened: u64,
    /// Connections that could not be opened.
    pub(super) not_opened: u64,
    /// Calls that were given to the operating system.
    pub(super) sent: u64,
    /// Calls with their own answer.
    pub(super) correct: u64,
    /// Calls with an answer that is not theirs.
    pub(super) wrong: u64,
    /// Calls that were told to come back later.
    pub(super) late: u64,
    /// Calls that the server refused.
    pub(super) refused: u64,
    /// Calls whose connection broke.
    pub(super) broken: u64,
    /// What went wrong, in words, for the first few.
    pub(super) examples: Vec<String>,
}

/// More examples than these tell nothing new.
const EXAMPLES_MAX: usize = 3;

impl Tally {
    /// Calls that need not be waited for any more.
    pub(super) fn settled(&self) -> u64 {
        self.correct + self.failed()
    }

    /// Settled calls without their answer.
    pub(super) fn failed(&self) -> u64 {
        self.wrong + self.late + self.refused + self.broken
    }

    /// Counts a connection that could not be opened.
    pub(super) fn count_not_opened(&mut self, why: String) {
        self.not_opened += 1;
        self.keep_example(why);
    }

    /// Counts what became of a call.
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Correct => self.correct += 1,
            Outcome::Late => self.late += 1,
            Outcome::Wrong(why) => {
                self.wrong += 1;
                self.keep_example(why);
            }
            Outcome::Refused(why) => {
                self.refused += 1;
                self.keep_example(why);
            }
            Outcome::Broken(why) => {
                self.broken += 1;
                self.keep_example(why);
            }
        }
    }

    /// Adds other callers.
    pub(super) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.not_opened += other.not_opened;
        self.sent += other.sent;
        self.correct += other.correct;
        self.wrong += other.wrong;
        self.late += other.late;
        self.refused += other.refused;
        self.broken += other.broken;
        for example in &other.examples {
            self.keep_example(example.clone());
        }
    }

    fn keep_example(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX && !self.examples.contains(&example) {
            self.examples.push(example);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_settles_a_call_and_only_a_correct_one_does_not_fail() {
        let mut tally = Tally::default();
        let text = || "why".to_owned();
        for outcome in [
            Outcome::Correct,
            Outcome::Wrong(text()),
            Outcome::Late,
            Outcome::Refused(text()),
            Outcome::Broken(text()),
        ] {
            tally.count(outcome);
        }
        assert_eq!((tally.settled(), tally.failed(), tally.correct), (5, 4, 1));
        assert_eq!(tally.examples, ["why"]);

        let mut sum = tally.clone();
        sum.add(&tally);
        assert_eq!((sum.settled(), sum.failed()), (10, 8));
    }

    #[test]
    fn only_a_few_examples_are_kept() {
        let mut tally = Tally::default();
        for number in 0..10 {
            tally.count_not_opened(format!("connection {number}"));
        }
        assert_eq!((tally.not_opened, tally.examples.len()), (10, EXAMPLES_MAX));
    }
}

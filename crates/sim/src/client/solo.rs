//! A client that has a queue to itself and predicts everything that it hears of it.
//!
//! What it cannot know is how far the broker came when a connection or a process ended: so it keeps all the states that are
//! possible, and each answer rules some of them out. When none is left, a promise was broken.

use std::collections::{BTreeSet, VecDeque};

use crate::messages::MessageId;
use crate::model::{Answer, Operation, QueueModel};
use crate::violation::Violation;

/// What it knows.
#[derive(Debug, Default)]
pub struct Solo {
    /// What the queue may be like, as of the last thing that is known to be durable, or of the connection's beginning.
    base: BTreeSet<QueueModel>,
    /// What was asked for since.
    pending: VecDeque<Pending>,
    /// Connections that have ended since the last thing that is known to be durable: what the broker did then is done, and a
    /// crash may still undo it.
    past: Vec<Past>,
}

/// What was asked for on a connection that has ended, and what the queue may have been like before.
#[derive(Debug)]
struct Past {
    base: BTreeSet<QueueModel>,
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    operation: Operation,
    /// What came back, where something has to.
    heard: Option<Answer>,
}

/// Whether an answer says that everything before it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does.
    Durable,
    /// It says nothing of that.
    Nothing,
}

impl Solo {
    /// It asks for something.
    pub fn ask(&mut self, operation: Operation) {
        if self.base.is_empty() {
            self.base.insert(QueueModel::default());
        }
        self.pending.push_back(Pending { operation, heard: None });
    }

    /// Things asked for that nothing was heard of since.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// One of the states that the queue may be in, with all done that was asked for.
    #[must_use]
    pub fn guess(&self) -> QueueModel {
        let mut queue = self.base.first().cloned().unwrap_or_default();
        for pending in &self.pending {
            queue.apply(&pending.operation);
        }
        queue
    }

    /// The next request is answered.
    pub fn answered(&mut self, answer: Answer, proof: Proof) -> Result<(), Violation> {
        let waits = |pending: &Pending| pending.heard.is_none() && needs_answer(&pending.operation);
        let Some(at) = self.pending.iter().position(waits) else {
            return Err(Violation::new("P10", format!("{answer:?} was not asked for")));
        };
        self.heard(at, answer, proof)
    }

    /// A publish is confirmed.
    pub fn confirmed(&mut self, id: MessageId) -> Result<(), Violation> {
        let is_of =
            |pending: &Pending| matches!(pending.operation, Operation::Publish(other, _) if other == id);
        let Some(at) = self.pending.iter().position(is_of) else { return Ok(()) };
        let is_persistent = matches!(self.pending[at].operation, Operation::Publish(_, true));
        self.heard(at, Answer::Done, if is_persistent { Proof::Durable } else { Proof::Nothing })
    }

    /// A publish was not taken.
    pub fn rejected(&mut self, id: MessageId) {
        self.pending
            .retain(|pending| !matches!(pending.operation, Operation::Publish(other, _) if other == id));
    }

    /// The connection is gone: the broker came as far as it was heard, or further.
    pub fn cut(&mut self) {
        let heard = self.pending.iter().rposition(|pending| pending.heard.is_some());
        let least = heard.map_or(0, |at| at + 1);
        let now = prefixes(&self.base, &self.pending, least, |queue| queue.close());
        let base = std::mem::replace(&mut self.base, now);
        self.past.push(Past { base, pending: std::mem::take(&mut self.pending) });
    }

    /// The process of the broker is gone: what was durable is there, and perhaps more.
    pub fn crash(&mut self, clean: bool) {
        let mut found = prefixes(&self.base, &self.pending, 0, |queue| queue.restart(clean));
        for past in self.past.drain(..) {
            found.extend(prefixes(&past.base, &past.pending, 0, |queue| queue.restart(clean)));
        }
        self.base = found;
        self.pending.clear();
    }

    fn heard(&mut self, at: usize, answer: Answer, proof: Proof) -> Result<(), Violation> {
        let text = format!("{:?} was answered {answer:?}", self.pending[at].operation);
        self.pending[at].heard = Some(answer);
        let states = states(&self.base, &self.pending, at + 1);
        if states.is_empty() {
            let before = self::states(&self.base, &self.pending, at);
            let what = format!("{text}, but the queue can only be one of {before:?}");
            return Err(Violation::new("the model of a queue", what));
        }
        if proof == Proof::Durable {
            self.base = states;
            self.pending.drain(..=at);
            self.past.clear();
        }
        Ok(())
    }
}

/// All states after at least so many of the pending operations.
fn prefixes(
    base: &BTreeSet<QueueModel>,
    pending: &VecDeque<Pending>,
    least: usize,
    mut end: impl FnMut(&mut QueueModel),
) -> BTreeSet<QueueModel> {
    let mut found = BTreeSet::new();
    for count in least..=pending.len() {
        found.extend(states(base, pending, count).into_iter().map(|mut queue| {
            end(&mut queue);
            queue
        }));
    }
    found
}

/// The states after so many of the pending operations that agree with what was heard of them.
fn states(base: &BTreeSet<QueueModel>, pending: &VecDeque<Pending>, count: usize) -> BTreeSet<QueueModel> {
    let after = |mut queue: QueueModel| {
        let agrees = pending.iter().take(count).all(|pending| {
            let answer = queue.apply(&pending.operation);
            pending.heard.as_ref().is_none_or(|heard| *heard == answer || !counts(&pending.operation))
        });
        agrees.then_some(queue)
    };
    base.iter().cloned().filter_map(after).collect()
}

/// What a settlement comes to is told by nothing.
fn needs_answer(operation: &Operation) -> bool {
    !matches!(operation, Operation::Publish(..) | Operation::Settle { .. })
}

/// Whether the answer tells of the queue.
fn counts(operation: &Operation) -> bool {
    matches!(operation, Operation::Declare | Operation::Delete | Operation::Purge | Operation::Get { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a settlement without an answer has done may be undone by a crash, also when its connection was cut before.
    #[test]
    fn a_crash_behind_a_cut_may_undo_what_was_heard() {
        let id = MessageId(1);
        let mut solo = Solo::default();
        for operation in [Operation::Open { transactional: false }, Operation::Declare] {
            solo.ask(operation);
        }
        solo.answered(Answer::Done, Proof::Durable).unwrap();
        solo.answered(Answer::Count(0), Proof::Durable).unwrap();
        solo.ask(Operation::Publish(id, true));
        solo.ask(Operation::Declare);
        solo.answered(Answer::Count(1), Proof::Durable).unwrap();
        solo.ask(Operation::Get { no_ack: true });
        let got = Answer::Got { id, tag: 1, redelivered: false, remaining: 0 };
        solo.answered(got, Proof::Nothing).unwrap();
        solo.cut();
        assert_eq!(solo.base.len(), 1, "it is gone");
        solo.crash(false);
        assert_eq!(solo.base.len(), 2, "or it is back");
    }
}

//! P3: under a key a queue takes a request once, and whoever repeats it is told the same tasks, whatever happened between.

use std::collections::BTreeMap;

use broker::Timestamp;
use broker::{Answer, Command, Effect, Envelope, IdempotencyKey, Refusal, RequestTag, Standalone, TaskId};
use field_table::ShortString;

use crate::line::LineId;
use crate::operations::BRIEF;
use crate::violation::Violation;

/// How long a key is known, in milliseconds: a day.
const WINDOW_MS: u64 = 24 * 3_600_000;

/// What was promised under each key.
#[derive(Debug, Default)]
pub(super) struct AcceptedOnce {
    asked: BTreeMap<(LineId, RequestTag), Asked>,
    /// By queue, user and key.
    promises: BTreeMap<(ShortString, ShortString, ShortString), Promise>,
}

#[derive(Debug)]
struct Asked {
    queue: ShortString,
    key: IdempotencyKey,
    count: usize,
    at: Timestamp,
}

#[derive(Debug)]
struct Promise {
    fingerprint: [u8; 32],
    tasks: Vec<TaskId>,
    until: Timestamp,
}

impl AcceptedOnce {
    pub(super) fn told(&mut self, line: LineId, command: &Command, clock: Timestamp) {
        let Command::Standalone { request, operation, .. } = command else { return };
        let Standalone::Enqueue(enqueue) = &**operation else { return };
        // Keys go with their queue.
        let key = enqueue.key.clone().filter(|_| enqueue.queue.as_bytes() != BRIEF.as_bytes());
        let Some(key) = key else { return };
        let asked = Asked { queue: enqueue.queue.clone(), key, count: enqueue.tasks.len(), at: clock };
        self.asked.insert((line, *request), asked);
    }

    pub(super) fn said(&mut self, line: LineId, effect: &Effect<Envelope>) -> Result<(), Violation> {
        match effect {
            Effect::Answered { request, answer: Answer::Enqueued { tasks, replayed } } => {
                let Some(asked) = self.asked.remove(&(line, *request)) else { return Ok(()) };
                self.enqueued(asked, tasks.iter().map(|view| view.id).collect(), *replayed)
            }
            Effect::Refused { request, refusal } => {
                let Some(asked) = self.asked.remove(&(line, *request)) else { return Ok(()) };
                let promise = self.promises.get(&name(&asked)).filter(|promise| promise.until > asked.at);
                let is_same = promise.is_some_and(|promise| promise.fingerprint == asked.key.fingerprint);
                let is_full = matches!(**refusal, Refusal::QueueFull { .. });
                match is_same || (is_full && promise.is_some()) {
                    true => {
                        Err(broken(&format!("{asked:?} was accepted before, and is refused: {refusal:?}")))
                    }
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    pub(super) fn process_ended(&mut self) {
        self.asked.clear();
    }

    fn enqueued(&mut self, asked: Asked, tasks: Vec<TaskId>, replayed: bool) -> Result<(), Violation> {
        let fingerprint = asked.key.fingerprint;
        if tasks.len() != asked.count {
            return Err(broken(&format!("{asked:?} was answered with {} tasks", tasks.len())));
        }
        let known = self.promises.get(&name(&asked)).filter(|promise| promise.until > asked.at);
        match known {
            Some(promise) if promise.tasks == tasks && promise.fingerprint == fingerprint && replayed => {
                Ok(())
            }
            Some(promise) => Err(broken(&format!(
                "{asked:?} was answered {tasks:?} (replayed: {replayed}) after {promise:?}"
            ))),
            None => {
                let until = Timestamp(asked.at.0 + WINDOW_MS);
                // Of a repetition nobody knows how much of the window is left.
                if !replayed {
                    self.promises.insert(name(&asked), Promise { fingerprint, tasks, until });
                }
                Ok(())
            }
        }
    }
}

fn name(asked: &Asked) -> (ShortString, ShortString, ShortString) {
    (asked.queue.clone(), asked.key.user.clone(), asked.key.key.clone())
}

fn broken(what: &str) -> Violation {
    Violation::new("P3", what)
}

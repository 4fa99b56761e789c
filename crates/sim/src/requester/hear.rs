//! What a requester makes of an answer.

use broker::{Answer, Effect, Envelope, Refusal, Standalone};

use super::{Hold, Requester, message_of, remember};
use crate::messages::Messages;
use crate::violation::Violation;

impl Requester {
    /// Takes an answer in. `is_short` if want of room on the disk is a reason to refuse something.
    pub fn hear(
        &mut self,
        effect: Effect<Envelope>,
        messages: &mut Messages,
        is_short: bool,
    ) -> Result<(), Violation> {
        match effect {
            Effect::Leased { grant, .. } => {
                remember(&mut self.tasks, grant.task.id);
                let hold = Hold { lease: grant.lease, task: grant.task.id, settled_by: None };
                remember(&mut self.leases, hold);
                Ok(())
            }
            Effect::Task { request, view, .. } => {
                // The second answer to a request that was to be watched comes beside its first.
                self.waiting.remove(&request.0);
                remember(&mut self.tasks, view.id);
                Ok(())
            }
            Effect::Answered { request, answer } => {
                let waiting = self.waiting.remove(&request.0);
                match waiting {
                    Some(waiting) => self.answered(request.0, waiting, answer, messages),
                    None => Err(Violation::new("P10", format!("{answer:?} was not asked for"))),
                }
            }
            // Of a watch that was stopped the answer was on its way.
            Effect::Refused { request, .. } if self.stopped.remove(&request.0) => Ok(()),
            Effect::Refused { request, refusal } => match self.waiting.remove(&request.0) {
                Some(_) if is_short && matches!(*refusal, Refusal::NoRoom { .. }) => Ok(()),
                Some(waiting) if may_be_refused(&waiting.operation, &refusal) => Ok(()),
                waiting => {
                    let what = format!("{waiting:?} of requester {} was refused: {refusal:?}", self.number);
                    Err(Violation::new("P10", what))
                }
            },
            Effect::Disconnected | Effect::Blocked | Effect::Unblocked => Ok(()),
            other => Err(Violation::new("P10", format!("a requester is told {other:?}"))),
        }
    }

    fn answered(
        &mut self,
        tag: u64,
        waiting: super::Waiting,
        answer: Answer,
        messages: &mut Messages,
    ) -> Result<(), Violation> {
        match (&waiting.operation, answer) {
            (Standalone::Enqueue(enqueue), Answer::Enqueued { tasks, .. }) => {
                tasks.iter().for_each(|task| remember(&mut self.tasks, task.id));
                if enqueue.watch && !tasks.is_empty() {
                    // It is answered a second time, as a watch is.
                    let until = broker::Until::Ended;
                    let operation = Standalone::Watch { task: tasks[0].id, until, with_result: true };
                    self.waiting.insert(tag, super::Waiting { operation, ..waiting });
                }
            }
            (Standalone::Complete(complete), Answer::Settled(_)) => {
                let is_first = match self.settlement_of(complete.lease) {
                    Some(Standalone::Complete(first)) => first.publish == complete.publish,
                    _ => false,
                };
                let follow_ups = complete.publish.iter().filter_map(message_of);
                follow_ups.filter(|_| is_first).for_each(|id| messages[id].confirmed = true);
            }
            (Standalone::Publish(publish), Answer::Published { queues: 1 }) => {
                message_of(&publish.envelope).into_iter().for_each(|id| messages[id].confirmed = true);
            }
            (Standalone::DeclareQueue(_), Answer::QueueDeclared { .. })
            | (Standalone::DeleteQueue { .. }, Answer::QueueDeleted { .. })
            | (Standalone::DescribeQueue { .. }, Answer::Queue(_))
            | (Standalone::Cancel { .. }, Answer::Cancelled(_))
            | (Standalone::Lease(_), Answer::LeasesGranted { .. })
            | (Standalone::Extend { .. }, Answer::LeaseExtended { .. })
            | (Standalone::Fail(_) | Standalone::Release { .. }, Answer::Settled(_)) => {}
            (asked, answer) => {
                return Err(Violation::new("P10", format!("{asked:?} was answered {answer:?}")));
            }
        }
        Ok(())
    }
}

/// What a refusal may say, by what was asked.
fn may_be_refused(operation: &Standalone, refusal: &Refusal) -> bool {
    let is_missing = matches!(refusal, Refusal::NotFound(_));
    match operation {
        Standalone::Enqueue(_) => {
            is_missing || matches!(refusal, Refusal::QueueFull { .. } | Refusal::KeyReused { .. })
        }
        Standalone::Watch { .. } => matches!(refusal, Refusal::NoSuchTask { .. }),
        Standalone::Cancel { .. } => {
            matches!(refusal, Refusal::NoSuchTask { .. } | Refusal::TaskEnded { .. })
        }
        Standalone::Extend { .. } => matches!(refusal, Refusal::LeaseLost { .. }),
        Standalone::Fail(_) | Standalone::Release { .. } => {
            matches!(refusal, Refusal::LeaseLost { .. } | Refusal::LeaseSettled { .. })
        }
        Standalone::Complete(_) => {
            let is_lost = matches!(refusal, Refusal::LeaseLost { .. } | Refusal::LeaseSettled { .. });
            is_lost || matches!(refusal, Refusal::QueueFull { .. })
        }
        Standalone::DeleteQueue { .. } => {
            is_missing || matches!(refusal, Refusal::InUse(_) | Refusal::NotEmpty { .. })
        }
        Standalone::Lease(_) | Standalone::DescribeQueue { .. } => is_missing,
        _ => false,
    }
}

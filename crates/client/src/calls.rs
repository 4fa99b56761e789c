//! Calls that wait for their answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqp_wire::{Properties, Value};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::budget::Share;
use crate::link::{Content, Publication};
use crate::{Failure, PublishError, TaskId};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The task.
    pub task_id: TaskId,
    /// HTTP's status code that the worker chose; 200 if it chose none.
    pub status: u16,
    /// MIME type of the body, if the worker named one.
    pub content_type: Option<String>,
    /// The result. Empty when the worker had none.
    pub body: Bytes,
}

/// The answer to a call: a result, a failure that the worker tells, or the publish did not get through.
pub(crate) type Answer = Result<Result<Reply, Failure>, PublishError>;

/// All calls under way, shared by those who wait and by the thread of the connection.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Ids sort by time, so that a reconnect sends them in the order in which they were made.
    pending: Mutex<BTreeMap<TaskId, Pending>>,
}

#[derive(Debug)]
struct Pending {
    publication: Arc<Publication>,
    answer: oneshot::Sender<Answer>,
    /// Which opening of the channel it was last published on; 0 for none.
    sent_on: u64,
    _share: Share,
}

/// A place among the calls; gives it up when dropped, so that who stops waiting leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Place {
    calls: Arc<Calls>,
    id: TaskId,
}

impl Calls {
    pub(crate) fn add(
        self: &Arc<Self>,
        id: TaskId,
        publication: Publication,
        share: Share,
    ) -> (Place, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let pending = Pending { publication: Arc::new(publication), answer, sent_on: 0, _share: share };
        self.lock().insert(id, pending);
        (Place { calls: self.clone(), id }, receiver)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The message of one call, unless it was sent on this opening of the channel or nobody waits any more.
    pub(crate) fn to_send(&self, id: TaskId, opening: u64) -> Option<Arc<Publication>> {
        let mut pending = self.lock();
        let call = pending.get_mut(&id).filter(|call| call.sent_on != opening)?;
        call.sent_on = opening;
        Some(call.publication.clone())
    }

    /// All that were not sent on this opening of the channel.
    pub(crate) fn all_to_send(&self, opening: u64) -> Vec<(TaskId, Arc<Publication>)> {
        let mut pending = self.lock();
        let unsent = pending.iter_mut().filter(|(_, call)| call.sent_on != opening);
        unsent
            .map(|(id, call)| {
                call.sent_on = opening;
                (*id, call.publication.clone())
            })
            .collect()
    }

    /// An answer came. False when nobody waits for it.
    pub(crate) fn answer(&self, content: Content) -> bool {
        let id = content.properties.correlation_id.as_ref().and_then(|id| id.to_string().parse().ok());
        let Some((id, call)) = id.and_then(|id| Some((id, self.lock().remove(&id)?))) else { return false };
        call.answer.send(Ok(understand(id, content))).is_ok()
    }

    /// The publish did not get through.
    pub(crate) fn fail(&self, id: TaskId, error: PublishError) {
        if let Some(call) = self.lock().remove(&id) {
            // Who waits may have gone.
            let _ = call.answer.send(Err(error));
        }
    }

    /// There will be no more answers.
    pub(crate) fn fail_all(&self) {
        // Dropping the senders tells those who wait.
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Pending>> {
        // Nothing here panics halfway through a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

/// Header `x-error` (text, or true) or an `x-status` of 400 and more makes an answer a failure.
fn understand(task_id: TaskId, Content { properties, body }: Content) -> Result<Reply, Failure> {
    let status = header(&properties, b"x-status")
        .and_then(Value::as_integer)
        .and_then(|status| u16::try_from(status).ok());
    let content_type = properties.content_type.as_ref().map(ToString::to_string);
    let error = match header(&properties, b"x-error") {
        None | Some(Value::Bool(false)) => None,
        Some(value) => Some(value.as_str_bytes().map(|text| String::from_utf8_lossy(text).into_owned())),
    };
    match (error, status.unwrap_or(200)) {
        (None, status) if status < 400 => Ok(Reply { task_id, status, content_type, body }),
        (title, _) => {
            let title = title.flatten().unwrap_or_else(|| "the task failed".to_owned());
            let status = status.filter(|status| *status >= 400).unwrap_or(500);
            Err(Failure { title, status, content_type, body })
        }
    }
}

fn header<'a>(properties: &'a Properties, name: &[u8]) -> Option<&'a Value> {
    properties.headers.as_ref()?.get(name)
}

#[cfg(test)]
mod tests {
    use amqp_wire::{ShortString, Table};

    use super::*;
    use crate::Task;
    use crate::budget::Budget;

    fn check(headers: &[(&'static str, Value)], expected: Result<u16, (&str, u16)>) {
        let headers: Table =
            headers.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        let outcome = understand(TaskId::fresh(), Content { properties, body: Bytes::new() });
        let outcome = outcome.map(|reply| reply.status).map_err(|failure| (failure.title, failure.status));
        assert_eq!(outcome, expected.map_err(|(title, status)| (title.to_owned(), status)));
    }

    #[test]
    fn headers_tell_results_from_failures() {
        check(&[], Ok(200));
        check(&[("x-status", Value::I64(201))], Ok(201));
        check(&[("x-error", Value::Bool(false))], Ok(200));
        check(&[("x-error", Value::text("bad size"))], Err(("bad size", 500)));
        check(
            &[("x-error", Value::Bool(true)), ("x-status", Value::I32(422))],
            Err(("the task failed", 422)),
        );
        check(&[("x-status", Value::I64(404))], Err(("the task failed", 404)));
        check(&[("x-error", Value::text("odd")), ("x-status", Value::I64(200))], Err(("odd", 500)));
    }

    #[tokio::test]
    async fn a_call_is_sent_once_for_each_opening_of_the_channel() {
        let calls = Arc::new(Calls::default());
        let id = TaskId::fresh();
        let publication = Task::raw("text/plain", "x").into_call(id).into_publication("", "q").unwrap();
        let (place, _answer) = calls.add(id, publication, Budget::new(1, 1024).take(1).await);
        assert!(calls.to_send(id, 1).is_some());
        assert!(calls.to_send(id, 1).is_none());
        assert!(calls.all_to_send(1).is_empty());
        assert_eq!(calls.all_to_send(2).len(), 1);
        drop(place);
        assert!(calls.all_to_send(3).is_empty());
    }
}

//! Server-sent events of one task.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use broker::{TaskId, TaskState, Until};
use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use crate::activity::UnderWay;
use crate::body::Body;
use crate::line::{Line, Seen, seen};
use crate::status_document::{TASK_ID, outcome, status_document, text};
use crate::ticket::Ticket;

/// The events of one task, up to its end.
///
/// `state` with the status document, `progress` with what the worker said, `result` with status and result; then the
/// stream ends. The id of an event is the version of the task, so that a client that comes back with `Last-Event-ID`
/// gets what it has not seen.
pub(crate) struct EventStream {
    /// The next piece, and who makes the one after it.
    next: Option<Step>,
    under_way: Option<UnderWay>,
}

/// Makes one piece of a stream, and hands on who makes the one after it.
type Step = Pin<Box<dyn Future<Output = (Bytes, Option<Watcher>)> + Send>>;

/// Watches a task for a stream.
struct Watcher {
    line: Arc<Line>,
    task: TaskId,
    /// What the client knows.
    known: Known,
    ticket: Option<Ticket>,
    keep_alive: Duration,
}

/// What the client of a stream knows.
struct Known {
    version: u64,
    state: Option<TaskState>,
    progress: Option<Bytes>,
}

impl EventStream {
    /// A stream that begins with how the task was seen just now; `since` is the version that the client knows.
    pub(crate) fn answer(
        line: Arc<Line>,
        first: Seen,
        since: Option<u64>,
        keep_alive: Duration,
    ) -> Response<Body> {
        let id = text(&first.view.id.to_string());
        let known = Known { version: 0, state: None, progress: None };
        let mut watcher = Watcher { line, task: first.view.id, known, ticket: None, keep_alive };
        let is_known = since == Some(first.view.version);
        let is_final = first.view.state.is_final();
        let events = watcher.tell(&first);
        // A line at once: proxies and libraries wait for one before they say that the stream is open.
        let events = if is_known { Bytes::from_static(b": nothing new\n\n") } else { events };
        let begun = std::future::ready((events, (!is_final).then_some(watcher)));
        let stream = Self { next: Some(Box::pin(begun)), under_way: None };
        let mut response = Response::new(Body::Events(Box::new(stream)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(TASK_ID, id);
        response
    }

    /// The connection is busy as long as the stream lasts.
    pub(crate) fn keep(&mut self, under_way: UnderWay) {
        self.under_way = Some(under_way);
    }

    /// The next piece; none at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let Poll::Ready((bytes, watcher)) = next.as_mut().poll(context) else { return Poll::Pending };
        self.next = watcher.map(|watcher| Box::pin(watcher.step()) as Step);
        Poll::Ready(Some(bytes))
    }
}

impl Watcher {
    /// Waits for something to tell. A stream that the server can't go on with just ends: its client comes back.
    async fn step(mut self) -> (Bytes, Option<Self>) {
        if self.ticket.is_none() {
            let until = Until::Changed { since: self.known.version };
            match self.line.watch(self.task, until).await {
                Ok(ticket) => self.ticket = Some(ticket),
                Err(_) => return (last_words(), None),
            }
        }
        let Some(ticket) = &mut self.ticket else { return (last_words(), None) };
        let Ok(next) = tokio::time::timeout(self.keep_alive, ticket.next()).await else {
            return (Bytes::from_static(b": still there\n\n"), Some(self));
        };
        self.ticket = None;
        let Ok(Ok(seen)) = next.map(seen) else { return (last_words(), None) };
        let events = self.tell(&seen);
        (events, (!seen.view.state.is_final()).then_some(self))
    }

    /// The events between what the client knows and what was seen now. The last of them has the version as its id:
    /// whoever knows it knows them all.
    fn tell(&mut self, seen: &Seen) -> Bytes {
        let view = &seen.view;
        let new_progress = view.progress.as_ref().filter(|now| self.known.progress.as_ref() != Some(*now));
        let (mut events, id) = (String::new(), Some(view.version));
        if view.state.is_final() {
            write_event(&mut events, id, "result", &json(&outcome(seen)));
        } else {
            let has_moved = self.known.state != Some(view.state) || new_progress.is_none();
            if has_moved {
                let id = id.filter(|_| new_progress.is_none());
                write_event(&mut events, id, "state", &json(&status_document(view)));
            }
            if let Some(progress) = new_progress {
                write_event(&mut events, id, "progress", &String::from_utf8_lossy(progress));
            }
        }
        self.known =
            Known { version: view.version, state: Some(view.state), progress: view.progress.clone() };
        events.into()
    }
}

fn last_words() -> Bytes {
    Bytes::from_static(b": come back\n\n")
}

fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string(document).expect("a document is JSON")
}

/// One event. Data of several lines goes on several lines.
fn write_event(out: &mut String, id: Option<u64>, event: &str, data: &str) {
    // Writing into a string cannot fail.
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    let _ = writeln!(out, "event: {event}");
    for line in data.lines() {
        let _ = writeln!(out, "data: {line}");
    }
    out.push('\n');
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

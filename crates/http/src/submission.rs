//! New tasks on their way into the core.

use std::sync::Arc;
use std::time::Duration;

use broker::{Answer, Effect, Enqueue, Standalone, TaskView, Until};
use field_table::{ShortString, Table, Value};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::backend::{Right, Target};
use crate::body::Body;
use crate::event_stream::EventStream;
use crate::idempotency::{self, Fingerprint, IDEMPOTENCY_REPLAYED};
use crate::line::{Line, Seen, seen};
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::{Answer as HttpAnswer, Problem};
use crate::status_document::{accepted, location, text};
use crate::task_document::Draft;
use crate::ticket::{Interest, Ticket};
use crate::worker_answer;

/// New tasks of one queue, with what their request says of them.
pub(crate) struct Submission {
    line: Arc<Line>,
    enqueue: Enqueue,
}

/// Tasks that are accepted: they survive whatever happens.
pub(crate) struct Accepted {
    line: Arc<Line>,
    /// The tasks, in the order of the request; at least one.
    pub(crate) tasks: Vec<TaskView>,
    replayed: bool,
    /// Tells of the first task's end, if that was asked for.
    ticket: Ticket,
}

/// What came of waiting for a task.
pub(crate) enum Waited {
    /// It has ended.
    Ended(Seen),
    /// The time was up; this is how the task stands.
    Late(Box<TaskView>),
}

/// Headers that go along with a request's task, for whoever follows requests through systems (W3C Trace Context).
const TRACE_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

impl Submission {
    /// Takes drafts for a queue. The key and the trace come from the request's headers.
    ///
    /// # Errors
    /// 403; 400 for a key that can't be used.
    pub(crate) fn new(
        line: &Arc<Line>,
        queue: ShortString,
        drafts: Vec<Draft>,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        line.authorise(Right::Write, Target::Queue(&queue))?;
        let mut fingerprint = Fingerprint::default();
        drafts.iter().for_each(|draft| draft.add_to(&mut fingerprint));
        let key = idempotency::key(headers, line.user(), &fingerprint)?;
        let trace = trace(headers);
        let tasks = drafts.into_iter().map(|draft| draft.into_envelope(&queue, &trace)).collect();
        let enqueue = Enqueue { queue, tasks, expects_reply: false, key, watch: false };
        Ok(Self { line: Arc::clone(line), enqueue })
    }

    /// Somebody waits for a reply.
    pub(crate) fn expecting_reply(mut self) -> Self {
        self.enqueue.expects_reply = true;
        self
    }

    /// Whether somebody waits for the first task's end on this request.
    pub(crate) fn watched(mut self, watch: bool) -> Self {
        self.enqueue.watch = watch;
        self
    }

    /// Hands the tasks to the core and waits until they are safe.
    ///
    /// # Errors
    /// The core's refusal; 503 when the server stops or has failed.
    pub(crate) async fn send(self) -> Result<Accepted, Problem> {
        let Self { line, enqueue } = self;
        let interest = if enqueue.watch { Interest::Watch } else { Interest::Answer };
        let mut ticket = line.ask(Standalone::Enqueue(enqueue), interest).await?;
        match ticket.soon().await? {
            Effect::Answered { answer: Answer::Enqueued { tasks, replayed }, .. } if !tasks.is_empty() => {
                Ok(Accepted { line, tasks, replayed, ticket })
            }
            other => Err(crate::line::unexpected(&other)),
        }
    }
}

impl Accepted {
    /// The first task, or the only one.
    pub(crate) fn first(&self) -> &TaskView {
        &self.tasks[0]
    }

    /// Waits for the end of the first task. Needs a submission that was watched.
    ///
    /// # Errors
    /// 503 with the task's place when the server stops or has failed.
    pub(crate) async fn wait(&mut self, time: Duration) -> Result<Waited, Problem> {
        let next = tokio::time::timeout(time, self.ticket.next()).await;
        let ended = match next {
            Ok(effect) => effect.and_then(seen).map(Waited::Ended),
            Err(_elapsed) => self.look().await.map(|view| Waited::Late(Box::new(view))),
        };
        ended.map_err(|problem| worker_answer::about(problem, &self.tasks[0]))
    }

    /// How the first task stands now.
    async fn look(&self) -> Result<TaskView, Problem> {
        let mut ticket = self.line.watch(self.first().id, Until::Now).await?;
        seen(ticket.soon().await?).map(|seen| *seen.view)
    }

    /// A stream of the first task's events.
    ///
    /// # Errors
    /// The core's refusal; 503 when the server stops or has failed.
    pub(crate) async fn stream(self, keep_alive: Duration) -> HttpAnswer {
        let mut ticket = self.line.watch(self.first().id, Until::Now).await?;
        let first = seen(ticket.soon().await?)?;
        let mut response = EventStream::answer(Arc::clone(&self.line), first, None, keep_alive);
        response.headers_mut().insert(hyper::header::LOCATION, text(&location(self.first())));
        Ok(self.marked(response))
    }

    /// 202 with the place of the task; 200 when it has ended already, which a repeated request may find.
    pub(crate) fn answer(&self, view: &TaskView, prefer: &Prefer) -> Response<Body> {
        let mut response = accepted(view, self.line.now());
        if view.state.is_final() {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(hyper::header::RETRY_AFTER);
        }
        if let Some(applied) = prefer.applied() {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        self.marked(response)
    }

    /// Says of an answer that it repeats an earlier one, if it does.
    pub(crate) fn marked(&self, mut response: Response<Body>) -> Response<Body> {
        if self.replayed {
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn trace(headers: &HeaderMap) -> Table {
    TRACE_HEADERS
        .iter()
        .filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((ShortString::from_text_cut(name.as_str()), Value::text(value)))
        })
        .collect()
}

//! `POST /v1/queues/{queue}/call`: a body in, a worker's answer out, on the same connection.

use std::sync::Arc;
use std::time::Duration;

use broker::{Answer as CoreAnswer, Standalone};
use field_table::ShortString;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use message_properties::Properties;

use crate::line::Line;
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::{Answer, Problem};
use crate::request::{Asked, short_header};
use crate::submission::{Submission, Waited};
use crate::task_document::Draft;
use crate::worker_answer;

/// How long a caller waits who does not say.
const WAIT: Duration = Duration::from_secs(30);

/// The header with the name of the task.
pub(super) const TASK_NAME: HeaderName = HeaderName::from_static("task-name");

/// What the request comes down to, when all of it was read.
struct Prepared {
    submission: Submission,
    prefer: Prefer,
    wait: Duration,
    /// Stream the events, with a sign of life this often.
    events: Option<Duration>,
}

/// The worker's answer; 202 with the place of the task when the time is up.
pub(super) async fn answer(asked: Asked) -> Answer {
    // In two steps, so that nothing of the request is in memory while it waits.
    let Prepared { submission, prefer, wait, events } = Box::pin(prepare(asked)).await?;
    let mut accepted = submission.send().await?;
    if let Some(keep_alive) = events {
        return accepted.stream(keep_alive).await;
    }
    if wait.is_zero() {
        return Ok(accepted.answer(accepted.first(), &prefer));
    }
    let seen = match accepted.wait(wait).await? {
        Waited::Ended(seen) => seen,
        Waited::Late(view) => return Ok(accepted.answer(&view, &prefer)),
    };
    let mut response = worker_answer::result(&seen, broker::Timestamp::default())?;
    if let Some(applied) = prefer.applied() {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(accepted.marked(response))
}

async fn prepare(asked: Asked) -> Result<Prepared, Problem> {
    let (queue, prefer) = (asked.queue()?, asked.prefer()?);
    let limits = asked.service.limits();
    let events = asked.wants_events().then_some(limits.event_keep_alive);
    let wait = match prefer {
        Prefer { wait: Some(wait), .. } => wait,
        Prefer { respond_async: true, .. } => Duration::ZERO,
        Prefer { .. } => WAIT.min(limits.wait_max),
    };
    let needs_worker = asked.flag("require_worker")?;
    let headers = asked.headers().clone();
    let properties = Properties {
        content_type: short_header(&headers, &CONTENT_TYPE)?,
        content_encoding: short_header(&headers, &CONTENT_ENCODING)?,
        kind: short_header(&headers, &TASK_NAME)?,
        delivery_mode: Some(2),
        ..Properties::default()
    };
    let line = Arc::clone(&asked.line);
    if needs_worker {
        check_worker(&line, &queue).await?;
    }
    let body = asked.receive().await?;
    let draft = Draft { properties, body: body.bytes.clone() };
    let watch = events.is_none() && !wait.is_zero();
    let submission = Submission::new(&line, queue, vec![draft], &headers)?.expecting_reply().watched(watch);
    Ok(Prepared { submission, prefer, wait, events })
}

async fn check_worker(line: &Arc<Line>, queue: &ShortString) -> Result<(), Problem> {
    match line.answer(Standalone::DescribeQueue { name: queue.clone() }).await? {
        CoreAnswer::Queue(report) if report.consumers > 0 => Ok(()),
        CoreAnswer::Queue(_) => {
            let detail = format!(
                "nobody works on queue '{queue}' now, and the request asks for somebody; nothing was stored. Start a worker, or call without require_worker"
            );
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Problem::new(status, "no-worker", "No worker", detail)
                .with("queue", queue.to_string())
                .retry_after(5))
        }
        _ => Err(Problem::internal("another answer than the description of a queue")),
    }
}

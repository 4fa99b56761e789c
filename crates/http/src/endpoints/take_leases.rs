//! `POST /v1/queues/{queue}/leases`: takes tasks to work on.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use broker::{Answer as CoreAnswer, Effect, Envelope, Grant, Lease, LeaseId, Standalone};
use field_table::ShortString;
use hyper::StatusCode;
use message_properties::{PropertiesView, Property};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backend::{Right, Target};
use crate::document;
use crate::duration;
use crate::header_table;
use crate::json;
use crate::line::{Line, unexpected};
use crate::options::{short, without_reserved};
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::{Answer, Problem};
use crate::request::Asked;
use crate::status_document::{content_type, json_body};
use crate::ticket::{Interest, Ticket, release};
use crate::time_text::rfc3339;

/// Tasks of one request at most.
const LEASES_MAX: u32 = 100;

/// How long a lease may be asked for, in milliseconds.
pub(super) const LEASE_MS: std::ops::RangeInclusive<u64> = 1000..=3_600_000;

/// How long a lease lasts that nobody says more of, in milliseconds.
const LEASE_MS_DEFAULT: u64 = 30_000;

/// After the time of a wait is up: how long what is on its way may take.
const LAST_CALL: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeasesDocument {
    max: Option<u32>,
    lease: Option<String>,
    worker: Option<String>,
}

/// Tasks that were granted and that nobody has heard of yet: dropped, they go back unharmed.
struct Granted {
    line: Arc<Line>,
    grants: Vec<(Box<Grant>, Envelope)>,
}

/// 200 with the tasks, which may be none.
pub(super) async fn answer(asked: Asked) -> Answer {
    let prefer = asked.prefer()?;
    let (line, lease) = Box::pin(prepare(asked, &prefer)).await?;
    let mut granted = Granted { line: Arc::clone(&line), grants: Vec::new() };
    let mut ticket = line.ask(Standalone::Lease(lease), Interest::Lease).await?;
    drop(line);
    if let Some(wait) = prefer.wait {
        if tokio::time::timeout(wait, granted.collect(&mut ticket))
            .await
            .map_or(Ok(false), |done| done.map(|()| true))?
        {
            return Ok(granted.into_response(&prefer));
        }
        ticket.stop_leasing();
    }
    let last_call = tokio::time::timeout(LAST_CALL, granted.collect(&mut ticket)).await;
    last_call.map_err(|_elapsed| Problem::internal("a request for leases was not answered"))??;
    Ok(granted.into_response(&prefer))
}

async fn prepare(asked: Asked, prefer: &Prefer) -> Result<(Arc<Line>, Lease), Problem> {
    let (line, queue) = (Arc::clone(&asked.line), asked.queue()?);
    line.authorise(Right::Read, Target::Queue(&queue))?;
    let document: LeasesDocument = asked.receive_json().await?;
    let max = document.max.unwrap_or(1);
    if !(1..=LEASES_MAX).contains(&max) {
        return Err(
            json::invalid(&format!("max is {max} and has to be 1 to {LEASES_MAX}")).with("limit", LEASES_MAX)
        );
    }
    let lease_ms = document.lease.as_deref().map(|text| lease_ms("lease", text)).transpose()?;
    let worker = document.worker.as_deref().map(|worker| short("worker", worker)).transpose();
    let worker: ShortString = worker.map_err(|reason| json::invalid(&reason))?.unwrap_or_default();
    let wait = prefer.wait.is_some_and(|wait| !wait.is_zero());
    Ok((line, Lease { queue, max, lease_ms: lease_ms.unwrap_or(LEASE_MS_DEFAULT), worker, wait }))
}

/// How long a lease shall last, within its bounds.
///
/// # Errors
/// 422, naming the member.
pub(super) fn lease_ms(member: &str, text: &str) -> Result<u64, Problem> {
    let ms = duration::parse(text).map_err(|reason| json::invalid(&format!("{member}: {reason}")))?;
    if LEASE_MS.contains(&ms) {
        return Ok(ms);
    }
    Err(json::invalid(&format!(
        "{member} is {text} and has to be 1s to 1h; extend the lease while the work goes on"
    )))
}

impl Granted {
    /// Takes what is granted until the core says that this is all.
    async fn collect(&mut self, ticket: &mut Ticket) -> Result<(), Problem> {
        loop {
            match ticket.next().await? {
                Effect::Leased { grant, message, .. } => self.grants.push((grant, message)),
                Effect::Answered { answer: CoreAnswer::LeasesGranted { .. }, .. } => return Ok(()),
                other => return Err(unexpected(&other)),
            }
        }
    }

    fn into_response(mut self, prefer: &Prefer) -> hyper::Response<crate::body::Body> {
        let leases: Vec<LeaseDocument<'_>> =
            self.grants.iter().map(|(grant, message)| LeaseDocument::new(grant, message)).collect();
        let mut response = document::json(StatusCode::OK, &Leases { leases });
        if let Some(applied) = prefer.applied() {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        // From here on they are the worker's.
        self.grants.clear();
        response
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let leases: Vec<LeaseId> = self.grants.iter().map(|(grant, _)| grant.lease).collect();
        release(&self.line, leases);
    }
}

#[derive(Serialize)]
struct Leases<'a> {
    leases: Vec<LeaseDocument<'a>>,
}

#[derive(Serialize)]
struct LeaseDocument<'a> {
    lease: String,
    expires_at: String,
    task: LeasedTask<'a>,
}

/// A task as its worker sees it.
#[derive(Serialize)]
struct LeasedTask<'a> {
    id: String,
    name: String,
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    attempt: u32,
    crashes: u32,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    headers: Value,
}

impl<'a> LeaseDocument<'a> {
    fn new(grant: &Grant, message: &'a Envelope) -> Self {
        let task = &grant.task;
        let payload = json_body(message);
        let properties = PropertiesView::from_checked(message.properties());
        let headers = properties.decode_headers().unwrap_or_default();
        let content_encoding = properties.value(Property::ContentEncoding);
        Self {
            lease: grant.lease.to_string(),
            expires_at: rfc3339(grant.expires_at),
            task: LeasedTask {
                id: task.id.to_string(),
                name: task.name.to_string(),
                queue: task.queue.to_string(),
                payload_base64: payload.is_none().then(|| BASE64.encode(message.body())),
                content_type: content_type(message),
                content_encoding: content_encoding.map(|value| String::from_utf8_lossy(value).into_owned()),
                payload,
                // Counts from 1, this one included.
                attempt: task.attempts + task.crashes + 1,
                crashes: task.crashes,
                epoch: task.epoch,
                deadline: task.deadline.map(rfc3339),
                headers: header_table::to_json(&without_reserved(headers)),
            },
        }
    }
}

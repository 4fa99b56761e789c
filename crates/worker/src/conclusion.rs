//! From what a handler answers to what the broker is told.

use std::time::Duration;

use amqp_wire::{Properties, ShortString, Table, Value};
use bytes::Bytes;
use forebay_client::link::Publication;

use crate::delivery::{Finish, Lease, Settle};
use crate::fail::{Fail, Next};
use crate::output::Output;

/// What is told to the broker, and after which wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) finish: Finish,
    /// A plain queue has no backoff of its own: a message that fails at once would come back at once, for ever.
    pub(crate) wait: Duration,
}

/// How long a plain message waits before it goes back, if the handler does not say.
pub(crate) const PLAIN_RETRY_WAIT: Duration = Duration::from_secs(1);
/// The longest such wait: the message occupies a place of the worker meanwhile.
const PLAIN_RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// MIME type of a failure.
const PROBLEM: &str = "application/problem+json";
/// Bytes of a failure's title that go into a header; the whole of it is in the body.
const TITLE_BYTES_MAX: usize = 1024;

/// Concludes an attempt. `request` are the properties that the message came with.
pub(crate) fn conclude(
    lease: Lease,
    request: &Properties,
    outcome: Result<Output, Fail>,
    publications: Vec<Publication>,
) -> Conclusion {
    match outcome {
        Ok(output) => {
            let reply =
                reply(request, output.content_type.as_deref(), output.body, success_headers(output.status));
            at_once(Finish { lease, publications, reply, settle: Settle::Ack })
        }
        // What the handler published goes out with a success or not at all.
        Err(fail) => conclude_failure(lease, request, &fail),
    }
}

/// There is no handler: another worker may have one.
pub(crate) fn release(lease: Lease) -> Conclusion {
    let finish = Finish { lease, publications: Vec::new(), reply: None, settle: Settle::Requeue };
    // Of a task the broker itself delays the next attempt.
    let wait = if lease.is_task { Duration::ZERO } else { PLAIN_RETRY_WAIT };
    Conclusion { finish, wait }
}

/// What is answered instead of a result that the broker refuses, too large for instance: another attempt would end
/// the same way. `None` when what it refuses is a failure already.
pub(crate) fn refused_result(result: &Publication, reason: &str) -> Option<Publication> {
    let properties = Properties::decode(&result.properties).ok()?;
    if properties.headers.is_some_and(|headers| headers.contains_key(b"x-error")) {
        return None;
    }
    let request = Properties {
        reply_to: Some(result.routing_key.clone()),
        correlation_id: properties.correlation_id,
        ..Properties::default()
    };
    let fail = Fail::fatal("the broker refuses the result").detail(reason);
    let headers = failure_headers(&fail, true);
    reply(&request, Some(PROBLEM), fail.problem().into(), headers)
}

fn conclude_failure(lease: Lease, request: &Properties, fail: &Fail) -> Conclusion {
    let finish = |reply, settle| Finish { lease, publications: Vec::new(), reply, settle };
    let reply = || {
        let headers = failure_headers(fail, lease.is_task);
        reply(request, Some(PROBLEM), fail.problem().into(), headers)
    };
    match fail.next() {
        _ if lease.is_task => at_once(finish(reply(), Settle::Ack)),
        Next::Retry => Conclusion { finish: finish(None, Settle::Requeue), wait: PLAIN_RETRY_WAIT },
        Next::RetryAfter(delay) => {
            Conclusion { finish: finish(None, Settle::Requeue), wait: delay.min(PLAIN_RETRY_WAIT_MAX) }
        }
        Next::Fatal => {
            let reply = reply();
            // Whoever asked is told; without anybody the message goes to the dead letters.
            let settle = if reply.is_some() { Settle::Ack } else { Settle::Reject };
            at_once(finish(reply, settle))
        }
    }
}

fn at_once(finish: Finish) -> Conclusion {
    Conclusion { finish, wait: Duration::ZERO }
}

/// The message for who asked; `None` when nobody did.
fn reply(
    request: &Properties,
    content_type: Option<&str>,
    body: Bytes,
    headers: Table,
) -> Option<Publication> {
    let reply_to = request.reply_to.clone().filter(|reply_to| !reply_to.is_empty())?;
    let properties = Properties {
        content_type: content_type.map(ShortString::from_text_cut),
        correlation_id: request.correlation_id.clone(),
        delivery_mode: Some(2),
        headers: (!headers.is_empty()).then_some(headers),
        ..Properties::default()
    };
    Some(Publication::new(ShortString::default(), reply_to, true, properties, body))
}

fn success_headers(status: Option<u16>) -> Table {
    status.map(status_header).into_iter().collect()
}

fn failure_headers(fail: &Fail, is_task: bool) -> Table {
    let mut headers = Table::new();
    headers.push(ShortString::from_static("x-error"), Value::text(cut(fail.title())));
    let retry = match fail.next() {
        _ if !is_task => None,
        Next::Retry => Some(Value::Bool(true)),
        Next::RetryAfter(delay) => Some(Value::I64(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))),
        Next::Fatal => None,
    };
    if let Some(retry) = retry {
        headers.push(ShortString::from_static("x-retry"), retry);
    }
    if let Some((name, status)) = fail.status_code().map(status_header) {
        headers.push(name, status);
    }
    headers
}

fn status_header(status: u16) -> (ShortString, Value) {
    (ShortString::from_static("x-status"), Value::I32(status.into()))
}

/// The front of a title, cut between characters. An empty one would be no failure.
fn cut(title: &str) -> &str {
    let mut end = title.len().min(TITLE_BYTES_MAX);
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { "the task failed" } else { &title[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(is_task: bool) -> Lease {
        Lease { subscription: 0, opening: 1, delivery_tag: 7, is_task }
    }

    fn request(reply_to: Option<&'static str>) -> Properties {
        Properties {
            reply_to: reply_to.map(ShortString::from_static),
            correlation_id: Some(ShortString::from_static("c")),
            ..Properties::default()
        }
    }

    /// `headers` as text, sorted as written; `None` when there is no reply.
    fn check(
        is_task: bool,
        reply_to: Option<&'static str>,
        outcome: Result<Output, Fail>,
        settle: Settle,
        wait_ms: u64,
        headers: Option<&str>,
    ) {
        let conclusion = conclude(lease(is_task), &request(reply_to), outcome, Vec::new());
        assert_eq!((conclusion.finish.settle, conclusion.wait), (settle, Duration::from_millis(wait_ms)));
        let found = conclusion.finish.reply.map(|reply| {
            let properties = Properties::decode(&reply.properties).unwrap();
            assert_eq!(properties.correlation_id.unwrap(), "c");
            assert_eq!(
                (reply.routing_key, reply.mandatory),
                (ShortString::from_static(reply_to.unwrap()), true)
            );
            let headers = properties.headers.unwrap_or_default();
            let texts: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
            texts.join(" ")
        });
        assert_eq!(found.as_deref(), headers);
    }

    fn shown(value: &Value) -> String {
        match (value.as_integer(), value.as_bool()) {
            (Some(number), _) => number.to_string(),
            (_, Some(yes)) => yes.to_string(),
            _ => String::from_utf8_lossy(value.as_str_bytes().unwrap()).into_owned(),
        }
    }

    #[test]
    fn of_a_task_the_broker_is_told_everything() {
        let at = Some("amq.task.reply.0");
        let check = |outcome, headers| check(true, at, outcome, Settle::Ack, 0, Some(headers));
        check(Ok(Output::empty()), "");
        check(Ok(Output::empty().status(201)), "x-status=201");
        check(Err(Fail::retry("no")), "x-error=no x-retry=true");
        check(Err(Fail::retry_after(Duration::from_secs(2), "no")), "x-error=no x-retry=2000");
        check(Err(Fail::fatal("no").status(422)), "x-error=no x-status=422");
        check(Err(Fail::fatal("")), "x-error=the task failed");
    }

    #[test]
    fn a_plain_message_goes_back_after_a_while() {
        let check = |reply_to, outcome, settle, wait_ms, headers| {
            check(false, reply_to, outcome, settle, wait_ms, headers);
        };
        check(Some("r"), Ok(Output::empty()), Settle::Ack, 0, Some(""));
        check(None, Ok(Output::empty()), Settle::Ack, 0, None);
        check(Some("r"), Err(Fail::retry("no")), Settle::Requeue, 1000, None);
        let later = || Fail::retry_after(Duration::from_secs(3600), "no");
        check(None, Err(later()), Settle::Requeue, 30_000, None);
        check(Some("r"), Err(Fail::fatal("no")), Settle::Ack, 0, Some("x-error=no"));
        check(None, Err(Fail::fatal("no")), Settle::Reject, 0, None);
    }

    #[test]
    fn a_long_title_fits_a_header() {
        let headers = failure_headers(&Fail::retry("é".repeat(10_000)), true);
        assert_eq!(headers.get(b"x-error").unwrap().as_str_bytes().unwrap().len(), TITLE_BYTES_MAX);
    }
}

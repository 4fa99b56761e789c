//! A request as an endpoint gets it.

use std::sync::Arc;

use bytes::Bytes;
use field_table::ShortString;
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::activity::Activity;
use crate::json::{self, Object};
use crate::line::Line;
use crate::prefer::Prefer;
use crate::problem::Problem;
use crate::request_body::{self, RequestBody};
use crate::service::Service;
use crate::upload::Upload;

/// A request of a user who is logged in.
pub(crate) struct Asked {
    /// What all connections share.
    pub(crate) service: Arc<Service>,
    /// The way to the core.
    pub(crate) line: Arc<Line>,
    /// The variable parts of the path, decoded.
    pub(crate) variables: Vec<Vec<u8>>,
    /// Method, path and headers.
    pub(crate) head: Parts,
    /// The body, of which nothing was read yet.
    pub(crate) body: Upload,
    /// Is told when the body was received.
    pub(crate) activity: Arc<Activity>,
}

impl Asked {
    /// The headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What the client prefers.
    ///
    /// # Errors
    /// 400 `bad-prefer`.
    pub(crate) fn prefer(&self) -> Result<Prefer, Problem> {
        Prefer::of(self.headers(), self.service.limits().wait_max)
    }

    /// The name in the path: of a queue or an exchange.
    ///
    /// # Errors
    /// 422 when it is too long for a name.
    pub(crate) fn name(&self) -> Result<ShortString, Problem> {
        let name = self.variables.first().map(Vec::as_slice).unwrap_or_default();
        ShortString::try_from(name).map_err(|_| {
            json::invalid(&format!("the name in the path has {} bytes, at most 255 fit", name.len()))
        })
    }

    /// The name of a queue in the path.
    ///
    /// # Errors
    /// 422 when it is too long for a name, or empty: only AMQP has queues that the broker names.
    pub(crate) fn queue(&self) -> Result<ShortString, Problem> {
        let name = self.name()?;
        if name.is_empty() {
            return Err(json::invalid("the name of the queue in the path is empty; write /v1/queues/{name}"));
        }
        Ok(name)
    }

    /// The id in the path.
    ///
    /// # Errors
    /// 404: what is no id is nobody's.
    pub(crate) fn id<T: std::str::FromStr<Err = broker::BrokenId>>(
        &self,
        code: &'static str,
    ) -> Result<T, Problem> {
        let text = self.variables.first().and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
        text.parse()
            .map_err(|error| Problem::new(StatusCode::NOT_FOUND, code, "Not found", format!("{error}")))
    }

    /// Whether the client asks for a stream of events.
    pub(crate) fn wants_events(&self) -> bool {
        let accepts = self.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepts.flat_map(|value| value.split(',')).any(|kind| essence(kind) == "text/event-stream")
    }

    /// Whether the body says that it is JSON, or says nothing.
    pub(crate) fn has_json(&self) -> bool {
        self.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.to_str().is_ok_and(is_json))
    }

    /// Checks that the query has no other parameters than these: a misspelt condition is no condition.
    ///
    /// # Errors
    /// 400 `bad-query`.
    pub(crate) fn check_query(&self, known: &[&str]) -> Result<(), Problem> {
        let query = self.head.uri.query().unwrap_or_default();
        let keys = query.split('&').map(|part| part.split_once('=').map_or(part, |(key, _)| key));
        let Some(unknown) = keys.into_iter().find(|key| !key.is_empty() && !known.contains(key)) else {
            return Ok(());
        };
        let possible =
            if known.is_empty() { "no parameter".to_owned() } else { format!("only {}", known.join(", ")) };
        Err(bad_query(format!("'{unknown}' is not known here; this path takes {possible}")))
    }

    /// A parameter of the query that is true or false; false when it is missing.
    ///
    /// # Errors
    /// 400 `bad-query`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        let query = self.head.uri.query().unwrap_or_default();
        let value = query.split('&').find_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, "true"));
            (key == name).then_some(value)
        });
        match value {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad_query(format!("{name}={other} is neither true nor false"))),
        }
    }

    /// Reads the body as it is.
    ///
    /// # Errors
    /// As [`request_body::receive`].
    pub(crate) async fn receive(self) -> Result<RequestBody, Problem> {
        let body = request_body::receive(&self.service, self.body).await?;
        self.activity.received();
        Ok(body)
    }

    /// Reads the body as a JSON document. An empty one counts as `{}`.
    ///
    /// # Errors
    /// 415 when it says that it is something else; 400 and 422 as [`json::parse`]; as [`Asked::receive`].
    pub(crate) async fn receive_json<T: DeserializeOwned>(self) -> Result<T, Problem> {
        if !self.has_json() {
            return Err(unsupported(self.headers()));
        }
        let body = self.receive().await?;
        parse_or_empty(&body.bytes)
    }
}

/// Reads a JSON object; no bytes count as `{}`.
///
/// # Errors
/// As [`json::parse`].
pub(crate) fn parse_or_empty<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let Object(document) = json::parse(if bytes.is_empty() { b"{}" } else { bytes })?;
    Ok(document)
}

fn bad_query(detail: String) -> Problem {
    Problem::bad_request("bad-query", "The query can't be read", detail)
}

/// 415, naming what came.
pub(crate) fn unsupported(headers: &HeaderMap) -> Problem {
    let kind = headers.get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
    let detail = format!(
        "the body is {}, and JSON is needed: send Content-Type: application/json",
        kind.unwrap_or_default()
    );
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Another kind of body is needed",
        detail,
    )
}

/// Whether a media type is JSON or based on it.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A header whose value becomes a short property of a message, or is a name.
///
/// # Errors
/// 422 when it is longer than 255 bytes.
pub(crate) fn short_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<ShortString>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let short = ShortString::try_from(value.as_bytes());
    short
        .map(Some)
        .map_err(|_| json::invalid(&format!("the header {name} has {} bytes, at most 255 fit", value.len())))
}

/// A media type without its parameters, in lower case.
pub(crate) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_several_names() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            assert_eq!(is_json(kind), json, "{kind}");
        }
    }
}

//! Refusals in the form of RFC 9457.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::body::Body;
use crate::document;

/// What every endpoint returns.
pub(crate) type Answer = Result<Response<Body>, Problem>;

/// A refusal: `application/problem+json`, whose type is `/problems/` and a code. Boxed, because problems are rare and
/// results are everywhere.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem as it is written.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    /// A problem. `detail` is for people: it names the value, the limit and the remedy.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let (members, headers) = (Map::new(), Vec::new());
        Self(Box::new(Parts { code, title, status, detail: detail.into(), members, headers }))
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// With a member of its own, for programs.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// With a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// With the time after which another try makes sense.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, seconds.into())
    }

    /// 400: the request can't be understood.
    pub(crate) fn bad_request(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, title, detail)
    }

    /// 422: the request is understood and makes no sense.
    pub(crate) fn invalid(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title, detail)
    }

    /// 401. Says the same whatever was wrong.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Login needed", detail).with_header(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"Forebay\", charset=\"UTF-8\""),
        )
    }

    /// 405, with the methods that are possible.
    pub(crate) fn method_not_allowed(method: &hyper::Method, path: &str, allowed: &str) -> Self {
        let detail = format!("{method} is not possible at {path}; possible are {allowed}");
        let problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        let allowed = HeaderValue::from_str(allowed).expect("methods are tokens");
        problem.with_header(ALLOW, allowed)
    }

    /// 500: a state of affairs that the code rules out.
    pub(crate) fn internal(what: &str) -> Self {
        tracing::error!(what, "an HTTP request met something that cannot be; please report it");
        let detail = "this is a bug of the server, whose log has more; please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal error", detail)
    }

    /// As an answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let parts = *self.0;
        let document = Document {
            kind: format!("/problems/{}", parts.code),
            title: parts.title,
            status: parts.status.as_u16(),
            detail: &parts.detail,
            members: &parts.members,
        };
        let mut response = document::json(parts.status, &document);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in parts.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

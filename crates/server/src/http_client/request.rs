//! What is asked of a server.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

/// `Prefer` (RFC 7240), by which a client says how long it waits.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// One request. It can be sent as often as needed: its body is shared.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A request with a JSON document.
    pub(crate) fn json(method: Method, path: impl Into<String>, document: &impl Serialize) -> Self {
        let body = serde_json::to_vec(document).expect("the documents of this program have text for keys");
        Self::new(method, path).body(HeaderValue::from_static("application/json"), body)
    }

    /// With these bytes of this type.
    pub(crate) fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// With one header more.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The server may hold the answer back for so long. It counts whole seconds; a part of one is taken for one.
    pub(crate) fn wait(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let value = HeaderValue::try_from(format!("wait={seconds}")).expect("digits are visible ASCII");
        self.header(PREFER, value)
    }
}

//! What came of the work.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde_json::json;
use serde_json::value::RawValue;

use crate::http_client::{Request, paths};

/// What came of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Done {
        /// The type of the result.
        content_type: HeaderValue,
        /// The result; may be empty.
        result: Bytes,
    },
    /// It failed.
    Failed {
        /// What went wrong, in a few words.
        title: String,
        /// What went wrong, in more words; may be empty.
        detail: String,
        /// Whether another attempt may help.
        retry: bool,
    },
    /// It was interrupted.
    Interrupted,
}

impl Outcome {
    /// A failure that another attempt does not mend.
    pub(super) fn hopeless(title: &str, detail: String) -> Self {
        Self::Failed { title: title.to_owned(), detail, retry: false }
    }

    /// What is shown of a failure.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Failed { title, detail, .. } if detail.is_empty() => title.clone(),
            Self::Failed { title, detail, .. } => format!("{title}: {}", detail.trim_end()),
            Self::Done { .. } | Self::Interrupted => String::new(),
        }
    }

    /// The request by which the broker hears of it. A result that says it is JSON and is not becomes a failure.
    pub(super) fn settle(&self, lease: &str) -> Result<Request, Self> {
        let post = |how: &str| Request::new(Method::POST, paths::settle(lease, how));
        let document =
            |how: &str, document| Request::json(Method::POST, paths::settle(lease, how), &document);
        match self {
            Self::Done { result, .. } if result.is_empty() => Ok(document("complete", json!({}))),
            // The API takes a JSON document for the description of the outcome, so that a JSON result goes inside one.
            Self::Done { content_type, result } if is_json(content_type) => {
                let value: &RawValue = serde_json::from_slice(result).map_err(|error| {
                    Self::hopeless(
                        "The result is not JSON",
                        format!("it says it is {content_type:?}: {error}"),
                    )
                })?;
                let wrapped = format!(r#"{{"result":{value}}}"#);
                Ok(post("complete").body(HeaderValue::from_static("application/json"), wrapped))
            }
            Self::Done { content_type, result } => {
                Ok(post("complete").body(content_type.clone(), result.clone()))
            }
            Self::Failed { title, detail, retry } => {
                Ok(document("fail", json!({"error": {"title": title, "detail": detail}, "retry": retry})))
            }
            Self::Interrupted => Ok(document("release", json!({}))),
        }
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(content_type: &'static str, result: &'static str) -> Outcome {
        Outcome::Done { content_type: HeaderValue::from_static(content_type), result: result.into() }
    }

    fn check(outcome: &Outcome, path: &str, content_type: &str, body: &str) {
        let request = format!("{:?}", outcome.settle("9f").unwrap());
        let content_type = format!("\"content-type\": {content_type:?}");
        for part in [path, &content_type, &format!("{:?}", hyper::body::Bytes::from(body.to_owned()))] {
            assert!(request.contains(part), "{part} in {request}");
        }
    }

    #[test]
    fn each_outcome_has_its_request() {
        let png = done("image/png", "bytes");
        check(&png, "/v1/leases/9f/complete", "image/png", "bytes");
        let json = done("application/json; charset=utf-8", r#"{"n":1.0}"#);
        check(&json, "/v1/leases/9f/complete", "application/json", r#"{"result":{"n":1.0}}"#);
        check(&done("text/plain", ""), "/v1/leases/9f/complete", "application/json", "{}");
        check(&Outcome::Interrupted, "/v1/leases/9f/release", "application/json", "{}");
        let failed = Outcome::hopeless("no font", "Arial".to_owned());
        let body = r#"{"error":{"detail":"Arial","title":"no font"},"retry":false}"#;
        check(&failed, "/v1/leases/9f/fail", "application/json", body);
    }

    #[test]
    fn a_result_that_is_not_the_json_it_says_it_is_is_a_failure() {
        let failure = done("application/json", "{broken").settle("9f").unwrap_err();
        assert!(matches!(failure, Outcome::Failed { retry: false, .. }), "{failure:?}");
    }
}

//! How an attempt fails.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// An attempt that failed, and what should happen next.
///
/// Every error becomes one through `?`, and is then retried:
///
/// ```
/// use forebay_worker::Fail;
///
/// async fn read(text: &str) -> Result<u32, Fail> {
///     let number: u32 = text.parse()?;
///     if number == 0 {
///         return Err(Fail::fatal("zero is not allowed").status(422));
///     }
///     Ok(number)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    next: Next,
    title: String,
    detail: Option<String>,
    status: Option<u16>,
}

/// What should happen after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt, after the broker's backoff.
    Retry,
    /// Another attempt after this long.
    RetryAfter(Duration),
    /// None: the task has failed.
    Fatal,
}

/// What a caller reads: an object as in RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl Fail {
    /// Try again after the broker's backoff, until the task's attempts are used up.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::new(Next::Retry, error)
    }

    /// Try again after this long.
    pub fn retry_after(delay: Duration, error: impl fmt::Display) -> Self {
        Self::new(Next::RetryAfter(delay), error)
    }

    /// Do not try again: it would end the same way.
    pub fn fatal(error: impl fmt::Display) -> Self {
        Self::new(Next::Fatal, error)
    }

    /// HTTP's status code for who called, 400 to 599; others are ignored. Without one it is 500.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = (400..600).contains(&status).then_some(status);
        self
    }

    /// More about it, for who looks into it.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    fn new(next: Next, error: impl fmt::Display) -> Self {
        Self { next, title: error.to_string(), detail: None, status: None }
    }

    pub(crate) fn next(&self) -> Next {
        self.next
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn status_code(&self) -> Option<u16> {
        self.status
    }

    /// As JSON, for who called.
    pub(crate) fn problem(&self) -> Vec<u8> {
        let problem = Problem { title: &self.title, detail: self.detail.as_deref(), status: self.status };
        serde_json::to_vec(&problem).expect("texts and numbers can be written as JSON")
    }
}

/// The error's own words are the title, those of its causes the detail.
impl<E: Error> From<E> for Fail {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let detail = (!causes.is_empty()).then(|| causes.join(": "));
        Self { detail, ..Self::retry(error) }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.title)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send")]
    struct CannotSend(#[source] std::num::ParseIntError);

    #[test]
    fn errors_are_retried_and_tell_their_causes() {
        let fail: Fail = CannotSend("x".parse::<u8>().unwrap_err()).into();
        assert_eq!(fail.next(), Next::Retry);
        assert_eq!(
            String::from_utf8(fail.problem()).unwrap(),
            r#"{"title":"cannot send","detail":"invalid digit found in string"}"#
        );
    }

    #[test]
    fn a_status_that_is_no_failure_is_ignored() {
        assert_eq!(Fail::fatal("x").status(422).status_code(), Some(422));
        assert_eq!(Fail::fatal("x").status(200).status_code(), None);
        assert_eq!(Fail::fatal("x").status(600).status_code(), None);
    }
}

//! `Prefer` (RFC 7240): how long a client wants to wait.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::problem::Problem;

/// The header of a request.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The header of the answer that says what was heeded.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a client prefers. Preferences that are not known are ignored, as the RFC has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// `wait=N`: for so long the answer may be kept back. Cut to the longest wait that is possible.
    pub(crate) wait: Option<Duration>,
    /// `respond-async`: rather an answer now than the outcome later.
    pub(crate) respond_async: bool,
}

impl Prefer {
    /// Reads all `Prefer` headers. What is named twice counts as it was named first.
    ///
    /// # Errors
    /// 400 `bad-prefer` when `wait` is no whole number of seconds.
    pub(crate) fn of(headers: &HeaderMap, wait_max: Duration) -> Result<Self, Problem> {
        let mut prefer = Self::default();
        for value in headers.get_all(PREFER) {
            let text = value.to_str().map_err(|_| bad("the header has bytes that are no text"))?;
            for preference in text.split(',') {
                // Parameters, behind a semicolon, belong to preferences that are not known here.
                let preference = preference.split(';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                prefer.take(name.trim(), value.trim().trim_matches('"'), wait_max)?;
            }
        }
        Ok(prefer)
    }

    fn take(&mut self, name: &str, value: &str, wait_max: Duration) -> Result<(), Problem> {
        if name.eq_ignore_ascii_case("respond-async") {
            self.respond_async = true;
        }
        if name.eq_ignore_ascii_case("wait") && self.wait.is_none() {
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return Err(bad(&format!("wait={value} is no whole number of seconds; write, say, wait=10")));
            }
            let seconds = value.parse().unwrap_or(u64::MAX);
            self.wait = Some(Duration::from_secs(seconds).min(wait_max));
        }
        Ok(())
    }

    /// What `Preference-Applied` says to a request that may wait; none when nothing was preferred.
    pub(crate) fn applied(&self) -> Option<HeaderValue> {
        let text = match (self.respond_async, self.wait) {
            (false, None) => return None,
            (true, None) => "respond-async".to_owned(),
            (false, Some(wait)) => format!("wait={}", wait.as_secs()),
            (true, Some(wait)) => format!("respond-async, wait={}", wait.as_secs()),
        };
        Some(HeaderValue::from_str(&text).expect("words and digits"))
    }
}

fn bad(detail: &str) -> Problem {
    Problem::bad_request("bad-prefer", "The Prefer header can't be read", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(values: &[&'static str]) -> Result<Prefer, Problem> {
        let values = values.iter().map(|value| (PREFER, HeaderValue::from_static(value)));
        Prefer::of(&values.collect(), Duration::from_secs(60))
    }

    fn check(values: &[&'static str], wait_s: Option<u64>, respond_async: bool, applied: Option<&str>) {
        let found = prefer(values).unwrap();
        assert_eq!((found.wait.map(|wait| wait.as_secs()), found.respond_async), (wait_s, respond_async));
        assert_eq!(found.applied().as_ref().map(|value| value.to_str().unwrap()), applied);
    }

    #[test]
    fn preferences_are_read() {
        check(&[], None, false, None);
        check(&["wait=10"], Some(10), false, Some("wait=10"));
        check(&["respond-async"], None, true, Some("respond-async"));
        check(&["respond-async, wait=10"], Some(10), true, Some("respond-async, wait=10"));
        check(&["Wait = \"5\"; a=b, handling=lenient"], Some(5), false, Some("wait=5"));
        check(&["return=minimal", "wait=3", "wait=7"], Some(3), false, Some("wait=3"));
        check(&["wait=0"], Some(0), false, Some("wait=0"));
    }

    #[test]
    fn a_long_wish_is_cut() {
        check(&["wait=3600"], Some(60), false, Some("wait=60"));
        check(&["wait=99999999999999999999999"], Some(60), false, Some("wait=60"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for wrong in ["wait", "wait=", "wait=-1", "wait=1.5", "wait=10s", "wait=soon"] {
            assert!(prefer(&[wrong]).is_err(), "{wrong}");
        }
    }
}

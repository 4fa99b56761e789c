//! What a worker's reply says of the work, in its headers.

use field_table::{ShortString, Value};
use message_properties::{PropertiesView, Property};

use super::TaskState;
use crate::effect::ReplyHead;

/// The outcome that a reply stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplyOutcome {
    /// Header `x-error`, a text or true: it failed.
    pub(crate) is_error: bool,
    /// Header `x-retry`: try again.
    pub(crate) retry: Retry,
    /// Header `x-status`: what to say over HTTP, from 100 to 999.
    pub(crate) status: Option<u16>,
}

/// Whether failed work is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No: what the worker says is final.
    #[default]
    Never,
    /// When the back-off says.
    BackOff,
    /// After so many milliseconds.
    After(u64),
}

impl ReplyOutcome {
    /// From this status on, work has failed.
    pub(crate) const ERROR_STATUS_MIN: u16 = 400;

    /// Reads it out of encoded properties.
    pub(crate) fn read(properties: &[u8]) -> Self {
        let view = PropertiesView::from_checked(properties);
        let integer = |name: &[u8]| view.header(name).and_then(|value| value.as_integer());
        let value = |name: &[u8]| view.header(name).and_then(|value| value.decode().ok());
        let status = integer(b"x-status").and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (100..1000).contains(status));
        let says_error = value(b"x-error").is_some_and(|value| value.as_bool() != Some(false));
        let retry = match (integer(b"x-retry"), value(b"x-retry").and_then(|value| value.as_bool())) {
            (Some(delay_ms), _) => Retry::After(u64::try_from(delay_ms).unwrap_or(0)),
            (None, Some(true)) => Retry::BackOff,
            (None, _) => Retry::Never,
        };
        let is_error = says_error || status.is_some_and(|status| status >= Self::ERROR_STATUS_MIN);
        Self { is_error, retry, status }
    }
}

impl ReplyHead {
    /// The properties of the reply that a producer gets: those of the result under the producer's correlation id, marked with
    /// header `x-error` if the task did not succeed and the result does not say so.
    #[must_use]
    pub fn reply_properties(&self, result_properties: &[u8], state: TaskState) -> Vec<u8> {
        let properties = PropertiesView::from_checked(result_properties)
            .with_short_string(Property::CorrelationId, self.correlation_id.as_ref());
        let view = PropertiesView::from_checked(&properties);
        if state == TaskState::Succeeded || view.header(b"x-error").is_some() {
            return properties;
        }
        let mut headers = view.decode_headers().unwrap_or_default();
        headers.insert(ShortString::from_static("x-error"), Value::text(state.name()));
        view.with_headers(Some(&headers))
    }
}

#[cfg(test)]
mod tests {
    use field_table::Table;
    use message_properties::Properties;

    use super::*;

    fn read(headers: &[(&'static str, Value)]) -> ReplyOutcome {
        let headers: Table =
            headers.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
        ReplyOutcome::read(&Properties { headers: Some(headers), ..Properties::default() }.to_bytes())
    }

    #[test]
    fn a_reply_without_headers_is_a_success() {
        assert_eq!(ReplyOutcome::read(b"\x00\x00"), ReplyOutcome::default());
        assert_eq!(read(&[("x-error", Value::Bool(false))]), ReplyOutcome::default());
    }

    #[test]
    fn headers_say_how_it_failed() {
        let failed = ReplyOutcome { is_error: true, ..ReplyOutcome::default() };
        assert_eq!(read(&[("x-error", Value::text("no such font"))]), failed);
        assert_eq!(read(&[("x-error", Value::Bool(true))]), failed);
        let again = |retry| read(&[("x-error", Value::Bool(true)), ("x-retry", retry)]).retry;
        assert_eq!(again(Value::Bool(true)), Retry::BackOff);
        assert_eq!(again(Value::I32(250)), Retry::After(250));
        assert_eq!(again(Value::I32(-1)), Retry::After(0));
        assert_eq!(read(&[("x-status", Value::I32(422))]), ReplyOutcome { status: Some(422), ..failed });
        let fine = ReplyOutcome { status: Some(201), ..ReplyOutcome::default() };
        assert_eq!(read(&[("x-status", Value::I32(201))]), fine);
        assert_eq!(read(&[("x-status", Value::I32(7))]), ReplyOutcome::default());
    }
}

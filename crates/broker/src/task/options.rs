//! What a message asks for as a task: read out of its properties.

use field_table::ShortString;
use message_properties::{PropertiesView, Property};

use super::TaskId;
use crate::Refusal;

/// The options of a task. Durations in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskOptions {
    /// The id that the producer chose, as `message-id`.
    pub(crate) id: Option<TaskId>,
    /// Property `type`.
    pub(crate) name: ShortString,
    /// Header `x-delay`: not before.
    pub(crate) delay_ms: u64,
    /// Property `expiration`: must first start within.
    pub(crate) start_within_ms: Option<u64>,
    /// Header `x-deadline`: must be done within.
    pub(crate) finish_within_ms: Option<u64>,
    /// Header `x-result-ttl`: how long the result is kept.
    pub(crate) result_ttl_ms: Option<u64>,
    /// Header `x-max-attempts`.
    pub(crate) max_attempts: Option<u32>,
    /// Header `x-idempotency-key`.
    pub(crate) key: Option<ShortString>,
    /// Where the producer wants the reply.
    pub(crate) reply_to: Option<ShortString>,
    /// What the producer wants to know the reply by.
    pub(crate) correlation_id: Option<ShortString>,
}

/// A hundred years: more is a mistake.
const DURATION_MS_MAX: i64 = 100 * 365 * 86_400_000;
const ATTEMPTS_MAX: i64 = 1_000_000;
const DURATION: &str = "a whole number of milliseconds from 0 to 3153600000000 (a hundred years)";

impl TaskOptions {
    /// Reads them out of encoded properties.
    pub(crate) fn read(properties: &[u8]) -> Result<Self, Refusal> {
        let view = PropertiesView::from_checked(properties);
        let text = |property| view.value(property).and_then(|value| ShortString::try_from(value).ok());
        let mut options = Self {
            id: view.value(Property::MessageId).and_then(TaskId::chosen),
            name: text(Property::Type).unwrap_or_default(),
            reply_to: text(Property::ReplyTo).filter(|address| !address.is_empty()),
            correlation_id: text(Property::CorrelationId),
            start_within_ms: view.expiration().map(read_expiration).transpose()?,
            ..Self::default()
        };
        if view.headers().is_some() {
            options.read_headers(view)?;
        }
        Ok(options)
    }

    fn read_headers(&mut self, view: PropertiesView<'_>) -> Result<(), Refusal> {
        let duration = |name| read_integer(view, name, 0, DURATION_MS_MAX, DURATION);
        self.delay_ms = duration("x-delay")?.unwrap_or(0);
        self.finish_within_ms = duration("x-deadline")?;
        self.result_ttl_ms = duration("x-result-ttl")?;
        let attempts =
            read_integer(view, "x-max-attempts", 1, ATTEMPTS_MAX, "a whole number from 1 to 1000000")?;
        self.max_attempts = attempts.map(|count| count as u32);
        self.key = read_key(view)?;
        Ok(())
    }
}

fn read_integer(
    view: PropertiesView<'_>,
    option: &'static str,
    min: i64,
    max: i64,
    expected: &'static str,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = view.header(option.as_bytes()) else { return Ok(None) };
    match value.as_integer() {
        Some(number) if (min..=max).contains(&number) => Ok(Some(number as u64)),
        Some(number) => Err(Refusal::InvalidTaskOption { option, value: number.to_string(), expected }),
        None => {
            let value = value.decode().map_or("nothing", |value| value.type_name()).to_owned();
            Err(Refusal::InvalidTaskOption { option, value, expected })
        }
    }
}

fn read_key(view: PropertiesView<'_>) -> Result<Option<ShortString>, Refusal> {
    let Some(value) = view.header(b"x-idempotency-key") else { return Ok(None) };
    let key = value.as_str_bytes().and_then(|text| ShortString::try_from(text).ok());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Ok(Some(key)),
        None => Err(Refusal::InvalidTaskOption {
            option: "x-idempotency-key",
            value: value.decode().map_or("nothing", |value| value.type_name()).to_owned(),
            expected: "a text of 1 to 255 bytes",
        }),
    }
}

fn read_expiration(digits: &[u8]) -> Result<u64, Refusal> {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
    number.filter(|number| *number <= DURATION_MS_MAX as u64).ok_or_else(|| Refusal::InvalidTaskOption {
        option: "expiration",
        value: String::from_utf8_lossy(digits).into_owned(),
        expected: DURATION,
    })
}

#[cfg(test)]
mod tests {
    use field_table::{Table, Value};
    use message_properties::Properties;

    use super::*;

    fn read(
        headers: &[(&'static str, Value)],
        change: impl FnOnce(&mut Properties),
    ) -> Result<TaskOptions, Refusal> {
        let headers: Table =
            headers.iter().map(|(name, value)| (ShortString::from_static(name), value.clone())).collect();
        let mut properties = Properties { headers: Some(headers), ..Properties::default() };
        change(&mut properties);
        TaskOptions::read(&properties.to_bytes())
    }

    #[test]
    fn options_are_what_properties_and_headers_say() {
        let text = ShortString::from_static;
        let headers = [
            ("x-delay", Value::I32(5)),
            ("x-deadline", Value::I64(60_000)),
            ("x-max-attempts", Value::U8(3)),
            ("x-idempotency-key", Value::text("order-1")),
        ];
        let options = read(&headers, |properties| {
            properties.kind = Some(text("sms.send"));
            properties.expiration = Some(text("600"));
            properties.reply_to = Some(text("done"));
            properties.message_id = Some(text("order-1"));
        });
        let expected = TaskOptions {
            name: text("sms.send"),
            delay_ms: 5,
            start_within_ms: Some(600),
            finish_within_ms: Some(60_000),
            max_attempts: Some(3),
            key: Some(text("order-1")),
            reply_to: Some(text("done")),
            ..TaskOptions::default()
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(TaskOptions::read(b""), Ok(TaskOptions::default()));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (option, value) in [
            ("x-delay", Value::I64(-1)),
            ("x-deadline", Value::I64(i64::MAX)),
            ("x-result-ttl", Value::text("1h")),
            ("x-max-attempts", Value::I64(0)),
            ("x-idempotency-key", Value::text("")),
            ("x-idempotency-key", Value::I64(1)),
        ] {
            match read(&[(option, value)], |_| ()) {
                Err(Refusal::InvalidTaskOption { option: named, .. }) => assert_eq!(named, option),
                other => panic!("{option}: {other:?}"),
            }
        }
    }
}

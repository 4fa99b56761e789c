//! The options of a task, as JSON says them and as a message carries them.

use field_table::{ShortString, Table, Value};
use message_properties::Properties;
use serde::Deserialize;

use crate::duration;
use crate::json::Object;

/// `options` of a task. Durations are texts such as `30s`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskOptions {
    /// Not before this time has passed. Header `x-delay`.
    delay: Option<String>,
    /// A worker must have begun within this time. Property `expiration`.
    ttl: Option<String>,
    /// It must be done within this time. Header `x-deadline`.
    deadline: Option<String>,
    /// How long the result is kept. Header `x-result-ttl`.
    result_ttl: Option<String>,
    /// Attempts after which it is given up. Header `x-max-attempts`.
    max_attempts: Option<u32>,
    /// Where else the result goes.
    reply_to: Option<Object<ReplyTo>>,
}

/// `reply_to` of a task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyTo {
    /// A queue, which gets the result as a message.
    queue: String,
}

/// What clients of AMQP write for "back to this channel". Over HTTP there is none.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Headers that are options of a task, and the option to be used instead; and those that the broker alone writes.
const RESERVED_HEADERS: [(&str, &str); 9] = [
    ("x-delay", "say options.delay"),
    ("x-deadline", "say options.deadline"),
    ("x-result-ttl", "say options.result_ttl"),
    ("x-max-attempts", "say options.max_attempts"),
    ("x-idempotency-key", "send the header Idempotency-Key"),
    ("x-task-id", "the broker writes it"),
    ("x-attempt", "the broker writes it"),
    ("x-epoch", "the broker writes it"),
    ("x-error", "it belongs to a worker's reply"),
];

impl TaskOptions {
    /// Writes the options into the properties of a message, beside what is there.
    ///
    /// # Errors
    /// Which option is wrong and why, for people.
    pub(crate) fn write(&self, properties: &mut Properties) -> Result<(), String> {
        let mut headers = properties.headers.take().unwrap_or_default();
        for (option, header, text) in [
            ("delay", "x-delay", &self.delay),
            ("deadline", "x-deadline", &self.deadline),
            ("result_ttl", "x-result-ttl", &self.result_ttl),
        ] {
            if let Some(text) = text {
                let ms = milliseconds(option, text)?;
                headers.insert(ShortString::from_static(header), Value::I64(ms as i64));
            }
        }
        if let Some(text) = &self.ttl {
            let ms = milliseconds("ttl", text)?;
            properties.expiration = Some(ShortString::from_text_cut(&ms.to_string()));
        }
        if let Some(count) = self.max_attempts {
            if count == 0 {
                return Err("options.max_attempts is 0; at least 1 attempt is needed".to_owned());
            }
            headers.insert(ShortString::from_static("x-max-attempts"), Value::I64(i64::from(count)));
        }
        if let Some(Object(ReplyTo { queue })) = &self.reply_to {
            properties.reply_to = Some(reply_queue(queue)?);
        }
        properties.headers = (!headers.is_empty()).then_some(headers);
        Ok(())
    }
}

/// Refuses headers that mean something to the broker: those are options.
///
/// # Errors
/// Which header, and what to do instead.
pub(crate) fn check_headers(headers: &Table) -> Result<(), String> {
    for (name, instead) in RESERVED_HEADERS {
        if headers.contains_key(name.as_bytes()) {
            return Err(format!("header '{name}' is reserved; {instead}"));
        }
    }
    Ok(())
}

/// The headers that are the producer's own.
pub(crate) fn without_reserved(mut headers: Table) -> Table {
    for (name, _) in RESERVED_HEADERS {
        headers.remove(name.as_bytes());
    }
    headers
}

/// A text as a short string.
///
/// # Errors
/// That it is too long, naming it by `what`.
pub(crate) fn short(what: &str, text: &str) -> Result<ShortString, String> {
    ShortString::try_from(text).map_err(|_| format!("{what} has {} bytes, at most 255 fit", text.len()))
}

/// The queue that gets a result.
fn reply_queue(name: &str) -> Result<ShortString, String> {
    if name.is_empty() {
        return Err("options.reply_to.queue is empty; name the queue that gets the result".to_owned());
    }
    if name.starts_with(DIRECT_REPLY_TO) {
        return Err(format!(
            "options.reply_to.queue is '{name}', which stands for a channel of AMQP; name a queue, or ask for the result by HTTP"
        ));
    }
    short("options.reply_to.queue", name)
}

fn milliseconds(option: &str, text: &str) -> Result<u64, String> {
    duration::parse(text).map_err(|reason| format!("options.{option}: {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn written(options: Json) -> Result<Properties, String> {
        let options: TaskOptions = serde_json::from_value(options).map_err(|error| error.to_string())?;
        let mut properties = Properties::default();
        options.write(&mut properties).map(|()| properties)
    }

    #[test]
    fn options_become_properties_and_headers() {
        let properties = written(json!({
            "delay": "5s", "ttl": "10m", "deadline": "1h", "result_ttl": "1d", "max_attempts": 3,
            "reply_to": {"queue": "done"}
        }))
        .unwrap();
        assert_eq!(properties.expiration, Some(ShortString::from_static("600000")));
        assert_eq!(properties.reply_to, Some(ShortString::from_static("done")));
        let headers = properties.headers.unwrap();
        for (name, ms) in [
            ("x-delay", 5000),
            ("x-deadline", 3_600_000),
            ("x-result-ttl", 86_400_000),
            ("x-max-attempts", 3),
        ] {
            assert_eq!(headers.get(name.as_bytes()), Some(&Value::I64(ms)), "{name}");
        }
        assert_eq!(written(json!({})), Ok(Properties::default()));
    }

    #[test]
    fn wrong_options_are_named() {
        for (options, named) in [
            (json!({"delay": "soon"}), "options.delay: 'soon'"),
            (json!({"ttl": "9999d"}), "options.ttl"),
            (json!({"max_attempts": 0}), "max_attempts"),
            (json!({"max_attempts": -1}), "-1"),
            (json!({"retries": 3}), "retries"),
            (json!({"delay": 5}), "5"),
            (json!({"reply_to": {"queue": "q".repeat(256)}}), "options.reply_to.queue"),
            (json!({"reply_to": {"exchange": "x"}}), "exchange"),
            (json!({"reply_to": {"queue": ""}}), "is empty"),
            (json!({"reply_to": {"queue": "amq.rabbitmq.reply-to"}}), "a channel of AMQP"),
            (json!({"reply_to": ["q"]}), "expected an object"),
        ] {
            let reason = written(options).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
    }

    #[test]
    fn headers_that_are_options_are_refused() {
        let table: Table = [(ShortString::from_static("x-delay"), Value::I64(1))].into_iter().collect();
        assert!(check_headers(&table).unwrap_err().contains("options.delay"));
        assert_eq!(check_headers(&Table::new()), Ok(()));
    }
}

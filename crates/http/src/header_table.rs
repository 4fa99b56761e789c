//! Headers of messages: AMQP's field tables as JSON, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use broker::Timestamp;
use bytes::Bytes;
use field_table::{ShortString, Table, Value};
use serde_json::{Map, Value as Json};

use crate::rfc3339::rfc3339;

/// A table as a JSON object. Of a name that is there twice, the first counts.
///
/// Times become RFC 3339, bytes that are no text base64, decimals text; numbers that JSON does not have become null.
pub(crate) fn to_json(table: &Table) -> Json {
    let mut object = Map::new();
    for (name, value) in table {
        object.entry(name.to_string()).or_insert_with(|| value_to_json(value));
    }
    Json::Object(object)
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Bool(truth) => (*truth).into(),
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Decimal { scale, value } => decimal(*scale, *value).into(),
        Value::LongString(bytes) => text_or_base64(bytes),
        Value::ByteArray(bytes) => BASE64.encode(bytes).into(),
        Value::Array(values) => values.iter().map(value_to_json).collect(),
        Value::Timestamp(seconds) => rfc3339(Timestamp(seconds.saturating_mul(1000))).into(),
        Value::Table(table) => to_json(table),
        Value::Void => Json::Null,
        integer => integer.as_integer().into(),
    }
}

fn text_or_base64(bytes: &Bytes) -> Json {
    std::str::from_utf8(bytes).map_or_else(|_| BASE64.encode(bytes).into(), Json::from)
}

/// The digits with their point.
fn decimal(scale: u8, value: u32) -> String {
    let scale = usize::from(scale);
    if scale == 0 {
        return value.to_string();
    }
    let digits = format!("{value:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{whole}.{fraction}")
}

/// A JSON object as a table.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn from_json(object: Map<String, Json>) -> Result<Table, String> {
    object
        .into_iter()
        .map(|(name, value)| Ok((header_name(&name)?, value_from_json(&name, value)?)))
        .collect()
}

fn header_name(name: &str) -> Result<ShortString, String> {
    ShortString::try_from(name)
        .map_err(|_| format!("the name of a header has {} bytes, at most 255 fit", name.len()))
}

fn value_from_json(name: &str, value: Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => Value::Void,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::I64(integer),
            (None, Some(float)) if !number.is_u64() => Value::F64(float),
            _ => return Err(format!("header '{name}' is {number}; numbers go up to {}", i64::MAX)),
        },
        Json::String(text) => Value::LongString(text.into()),
        Json::Array(values) => Value::Array(
            values.into_iter().map(|value| value_from_json(name, value)).collect::<Result<_, _>>()?,
        ),
        Json::Object(object) => Value::Table(from_json(object)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> Table {
        [(ShortString::from_static("h"), value)].into_iter().collect()
    }

    #[test]
    fn values_that_json_has_come_back() {
        let object = json!({"a": "text", "b": [1, -2, 0.5, true, null], "c": {"d": {}}});
        let Json::Object(map) = object.clone() else { unreachable!() };
        assert_eq!(to_json(&from_json(map).unwrap()), object);
    }

    #[test]
    fn values_that_json_does_not_have_are_written_as_text() {
        for (value, written) in [
            (Value::Timestamp(0), json!("1970-01-01T00:00:00.000Z")),
            (Value::ByteArray(Bytes::from_static(b"\x00\xff")), json!("AP8=")),
            (Value::LongString(Bytes::from_static(b"\xff")), json!("/w==")),
            (Value::Decimal { scale: 2, value: 5 }, json!("0.05")),
            (Value::Decimal { scale: 0, value: 5 }, json!("5")),
            (Value::F64(f64::NAN), json!(null)),
            (Value::U8(200), json!(200)),
        ] {
            assert_eq!(to_json(&table(value)), json!({ "h": written }));
        }
    }

    #[test]
    fn numbers_and_names_that_do_not_fit_are_refused() {
        let from = |json: Json| from_json(json.as_object().unwrap().clone());
        assert!(from(json!({"h": u64::MAX})).unwrap_err().contains("'h'"));
        assert!(from(json!({"k".repeat(256): 1})).unwrap_err().contains("256"));
    }
}

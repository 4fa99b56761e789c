//! Declared again: does it say the same as before?

use field_table::{ShortString, Value};

use crate::{Described, Refusal, Resource};

/// Compares a field that is a flag.
pub(crate) fn flag(
    resource: impl FnOnce() -> Resource,
    name: &'static str,
    received: bool,
    current: bool,
) -> Result<(), Refusal> {
    check(resource, name.as_bytes(), received == current, || (plain(received), plain(current)))
}

/// Compares a field that is a name.
pub(crate) fn text(
    resource: impl FnOnce() -> Resource,
    name: &'static str,
    received: &ShortString,
    current: &ShortString,
) -> Result<(), Refusal> {
    check(resource, name.as_bytes(), received == current, || (plain(received), plain(current)))
}

/// Compares an argument. Integers of any width are equal by value; a missing one only equals a missing one.
pub(crate) fn argument(
    resource: impl FnOnce() -> Resource,
    name: &[u8],
    received: Option<&Value>,
    current: Option<&Value>,
) -> Result<(), Refusal> {
    let same = match (received, current) {
        (None, None) => true,
        (Some(received), Some(current)) => received.same_value(current),
        _ => false,
    };
    check(resource, name, same, || (received.map(described), current.map(described)))
}

fn check(
    resource: impl FnOnce() -> Resource,
    name: &[u8],
    same: bool,
    values: impl FnOnce() -> (Option<Described>, Option<Described>),
) -> Result<(), Refusal> {
    if same {
        return Ok(());
    }
    let (received, current) = values();
    let argument = ShortString::try_from(name).unwrap_or_default();
    Err(Refusal::Inequivalent { resource: resource(), argument, received, current })
}

fn plain(value: impl ToString) -> Option<Described> {
    Some(Described { value: value.to_string(), type_name: None })
}

fn described(value: &Value) -> Described {
    let shown = match value {
        Value::LongString(bytes) | Value::ByteArray(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        other => other.as_integer().map_or_else(|| format!("{other:?}"), |number| number.to_string()),
    };
    Described { value: shown, type_name: Some(value.type_name()) }
}

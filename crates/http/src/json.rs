//! JSON bodies: what is wrong with one, and where.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// How deep arrays and objects may lie inside each other. The bound of the usual parsers, so that whoever gets the
/// payload can read it.
pub(crate) const DEPTH_MAX: usize = 128;

/// A structure that is written as a JSON object. By itself serde takes the list of a structure's members for it, too.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads the members of an object.
struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Reads a body.
///
/// # Errors
/// 400 `malformed-json` with line and column when it is no JSON; 422 `invalid-request` naming the member that has a
/// wrong type, is unknown, or is missing.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    check_depth(body)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        problem(error.inner(), &path)
    })?;
    reader.end().map_err(|error| problem(&error, "."))?;
    Ok(value)
}

fn problem(error: &serde_json::Error, path: &str) -> Problem {
    let (line, column) = (error.line(), error.column());
    if error.is_data() {
        let at = if path == "." { "the body".to_owned() } else { format!("'{path}'") };
        return invalid(&format!("{at}: {}", without_rust(error.to_string()))).with("member", path);
    }
    Problem::bad_request("malformed-json", "The body is no JSON", error.to_string())
        .with("line", line)
        .with("column", column)
}

/// Serde names types as Rust does, which is not the language of all who send requests.
fn without_rust(message: String) -> String {
    const NUMBERS: [(&str, u64); 3] = [("u16", u16::MAX as u64), ("u32", u32::MAX as u64), ("u64", u64::MAX)];
    let named = NUMBERS.iter().find(|(name, _)| message.contains(&format!("expected {name}")));
    let Some((name, max)) = named else { return message };
    message.replacen(&format!("expected {name}"), &format!("expected a whole number from 0 to {max}"), 1)
}

/// 422: what a document says makes no sense.
pub(crate) fn invalid(detail: &str) -> Problem {
    Problem::invalid("invalid-request", "The request makes no sense", detail)
}

/// Counts the brackets outside of strings. Costs one look at each byte and no stack.
fn check_depth(body: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            let detail = format!(
                "arrays and objects lie more than {DEPTH_MAX} deep inside each other; send a flatter body"
            );
            return Err(invalid(&detail).with("limit", DEPTH_MAX));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u32,
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        _y: Option<Box<serde_json::value::RawValue>>,
    }

    #[test]
    fn objects_are_not_lists_of_their_members() {
        let read = |text: &str| parse::<Object<Point>>(text.as_bytes());
        assert_eq!(read(r#"{"x":7,"inner":{"_y":[1]}}"#).unwrap().0.x, 7);
        assert!(read(r#"{"x":7}"#).unwrap().0.inner.is_none());
        for (text, named) in [
            ("[7]", "sequence, expected an object"),
            ("null", "null, expected an object"),
            (r#"{"x":7,"inner":[1]}"#, "'inner': invalid type: sequence"),
            (r#"{"x":7,"inner":{"z":1}}"#, "'inner.z'"),
            (r#"{"x":-1}"#, "'x': invalid value: integer `-1`, expected a whole number from 0 to 4294967295"),
        ] {
            let problem = format!("{:?}", read(text).unwrap_err());
            assert!(problem.contains(named), "{problem}");
        }
    }

    #[test]
    fn depth_is_bounded_and_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        // The body itself may lie around a payload, so the parser of values has less than the bound.
        assert!(parse::<Value>(nested(127).as_bytes()).is_ok());
        assert!(check_depth(nested(128).as_bytes()).is_ok());
        assert!(check_depth(nested(129).as_bytes()).is_err());
        assert!(check_depth(format!("\"{}\\\"[\"", "[".repeat(500)).as_bytes()).is_ok());
    }
}

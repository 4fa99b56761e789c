//! JSON bodies: what is wrong with one, and where.

use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// How deep arrays and objects may lie inside each other. The bound of the usual parsers, so that whoever gets the
/// payload can read it.
pub(crate) const DEPTH_MAX: usize = 128;

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
        return invalid(&format!("{at}: {error}")).with("member", path);
    }
    Problem::bad_request("malformed-json", "The body is no JSON", error.to_string())
        .with("line", line)
        .with("column", column)
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

//! Durations as the API spells them: `"30s"`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration of a text as `500ms`, `30s`, `5m`, `1h` or `2d`.
///
/// # Errors
/// A sentence for the person who wrote it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, unit_ms)| *unit_ms);
    let number: Option<u64> = number.parse().ok();
    let milliseconds = number.zip(unit_ms).and_then(|(number, unit_ms)| number.checked_mul(unit_ms));
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        format!("'{text}' is no duration; write a number and a unit, as 500ms, 30s, 5m, 1h or 2d")
    })
}

/// The duration as the API spells it, in milliseconds where it is not made of whole seconds.
pub(crate) fn format_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_understood() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("0s", 0),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "1 s", "1S", "1m30s", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_understood() {
        for text in ["0s", "30s", "1500ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}

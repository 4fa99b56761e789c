//! Durations as text: `"30s"`.

/// The longest duration that anything here takes: ten years, in milliseconds.
pub(crate) const DURATION_MS_MAX: u64 = 10 * 365 * 86_400_000;

/// The units, longest first, in milliseconds. `ms` stands before `m` and `s`, so that it is seen first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1000)];

/// Reads a duration: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, each once at most, longest first, without
/// spaces: `30s`, `1h30m`, `500ms`. In milliseconds, at most [`DURATION_MS_MAX`].
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "'{text}' is no duration; write whole numbers with units, such as 500ms, 30s, 5m, 1h30m or 2d"
        )
    };
    let (mut rest, mut sum, mut last_unit_ms) = (text, 0u64, u64::MAX);
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let (unit, unit_ms) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(wrong)?;
        if number.is_empty() || *unit_ms >= last_unit_ms {
            return Err(wrong());
        }
        // So many digits are above every bound.
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        sum = sum.saturating_add(number.saturating_mul(*unit_ms));
        (rest, last_unit_ms) = (&tail[unit.len()..], *unit_ms);
    }
    if sum > DURATION_MS_MAX {
        return Err(format!("'{text}' is longer than 3650d, the longest duration"));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("3650d", DURATION_MS_MAX),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            " 30s",
            "30S",
            "1m1h",
            "1s1s",
            "1w",
            "1ms1s",
            "3651d",
            "99999999999999999999999s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("30").unwrap_err().contains("'30'"));
        assert!(parse("4000d").unwrap_err().contains("3650d"));
    }
}

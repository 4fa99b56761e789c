//! Numbers as people read them.

use std::ops::RangeInclusive;

/// `1 message`, `2,000 messages`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = match (number, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    };
    format!("{} {plural}", grouped(number))
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 bytes`, `1.5 KiB`, `64.0 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "bytes" { count(bytes, "byte") } else { format!("{value:.1} {unit}") }
}

/// `entry 7`, `entries 7 to 1,009`.
pub(super) fn entries(range: &RangeInclusive<u64>) -> String {
    match range.start() == range.end() {
        true => format!("entry {}", grouped(*range.start())),
        false => format!("entries {} to {}", grouped(*range.start()), grouped(*range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(1_234_567, "entry"), "1,234,567 entries");
        assert_eq!(count(0, "key"), "0 keys");
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(1023), "1,023 bytes");
        assert_eq!(size(1 << 20), "1.0 MiB");
        assert_eq!(entries(&(5..=5)), "entry 5");
        assert_eq!(entries(&(5..=1000)), "entries 5 to 1,000");
    }
}

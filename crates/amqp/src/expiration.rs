//! The `expiration` property: a time to live in milliseconds, as decimal digits.

use std::fmt;

/// The longest time to live: ten years, in milliseconds. RabbitMQ's bound.
const EXPIRATION_MS_MAX: i128 = 315_360_000_000;

/// Checks the digits. Returns RabbitMQ's text when they are none.
pub(crate) fn check(digits: &[u8]) -> Result<(), String> {
    reason(digits).map_or(Ok(()), |reason| {
        Err(format!("invalid expiration '{}': {reason}", String::from_utf8_lossy(digits)))
    })
}

/// What is wrong, shown as the Erlang term in RabbitMQ's text.
enum Reason<'a> {
    NotANumber,
    Leftover(&'a str),
    Negative(i128),
    TooLarge(i128),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("no_integer"),
            Self::Leftover(text) => write!(f, "{{leftover_string,{text:?}}}"),
            Self::Negative(number) => write!(f, "{{value_negative,{number}}}"),
            Self::TooLarge(number) => write!(f, "{{value_too_large,{number}}}"),
        }
    }
}

fn reason(text: &[u8]) -> Option<Reason<'_>> {
    let Ok(text) = str::from_utf8(text) else { return Some(Reason::NotANumber) };
    let sign_bytes = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign_bytes..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign_bytes + digits);
    match number.parse::<i128>() {
        _ if digits == 0 => Some(Reason::NotANumber),
        _ if !rest.is_empty() => Some(Reason::Leftover(rest)),
        Ok(number) if number < 0 => Some(Reason::Negative(number)),
        Ok(number) if number > EXPIRATION_MS_MAX => Some(Reason::TooLarge(number)),
        Ok(_) => None,
        Err(_) => Some(Reason::TooLarge(i128::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_up_to_ten_years_pass() {
        for digits in ["0", "60000", "315360000000", "+5"] {
            assert_eq!(check(digits.as_bytes()), Ok(()), "{digits}");
        }
    }

    #[test]
    fn texts_are_rabbitmqs() {
        let cases = [
            ("", "no_integer"),
            ("foo", "no_integer"),
            ("-", "no_integer"),
            ("10x", "{leftover_string,\"x\"}"),
            ("1.5", "{leftover_string,\".5\"}"),
            ("-1", "{value_negative,-1}"),
            ("315360000001", "{value_too_large,315360000001}"),
        ];
        for (digits, reason) in cases {
            assert_eq!(check(digits.as_bytes()), Err(format!("invalid expiration '{digits}': {reason}")));
        }
        assert!(check(&[b'9'; 255]).is_err());
        assert!(check(b"\xff").is_err());
    }
}

//! Bytes shown the way RabbitMQ's error texts show them.

use std::fmt;

/// Shows bytes as an Erlang binary term: `<<"text">>` when all are printable Latin-1, else `<<1,2,255>>`.
///
/// RabbitMQ's texts for broken frames contain such terms and people search for them.
#[derive(Clone, Copy, Debug)]
pub struct ErlangBinary<'a>(pub &'a [u8]);

impl fmt::Display for ErlangBinary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        if !bytes.is_empty() && bytes.iter().all(|byte| is_printable(*byte)) {
            return write_text(formatter, bytes);
        }
        formatter.write_str("<<")?;
        for (index, byte) in bytes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{byte}")?;
        }
        formatter.write_str(">>")
    }
}

/// What Erlang's `io_lib:printable_latin1_list/1` accepts.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | 0xa0.. | b'\n' | b'\r' | b'\t' | 0x0b | 0x08 | 0x0c | 0x1b)
}

fn write_text(formatter: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    formatter.write_str("<<\"")?;
    for byte in bytes {
        match byte {
            b'"' => formatter.write_str("\\\"")?,
            b'\\' => formatter.write_str("\\\\")?,
            b'\n' => formatter.write_str("\\n")?,
            b'\r' => formatter.write_str("\\r")?,
            b'\t' => formatter.write_str("\\t")?,
            0x0b => formatter.write_str("\\v")?,
            0x08 => formatter.write_str("\\b")?,
            0x0c => formatter.write_str("\\f")?,
            0x1b => formatter.write_str("\\e")?,
            byte => write!(formatter, "{}", char::from(*byte))?,
        }
    }
    formatter.write_str("\">>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_text_as_text_and_the_rest_as_numbers() {
        assert_eq!(ErlangBinary(b"").to_string(), "<<>>");
        assert_eq!(ErlangBinary(b"say \"hi\"\n").to_string(), r#"<<"say \"hi\"\n">>"#);
        assert_eq!(ErlangBinary(&[0, 60, 255]).to_string(), "<<0,60,255>>");
    }
}

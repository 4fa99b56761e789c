//! Bytes shown the way RabbitMQ's error texts show them.

use std::fmt;

use field_table::Value;

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

/// Shows a value of a field table as the Erlang term that RabbitMQ reads it into, the outermost type left out.
#[derive(Clone, Copy, Debug)]
pub struct ErlangValue<'a>(pub &'a Value);

impl fmt::Display for ErlangValue<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(flag) => write!(formatter, "{flag}"),
            Value::F32(number) => write!(formatter, "{number:?}"),
            Value::F64(number) => write!(formatter, "{number:?}"),
            Value::Decimal { scale, value } => write!(formatter, "{{{scale},{value}}}"),
            Value::LongString(bytes) | Value::ByteArray(bytes) => ErlangBinary(bytes).fmt(formatter),
            Value::Timestamp(seconds) => write!(formatter, "{seconds}"),
            Value::Void => formatter.write_str("undefined"),
            Value::Array(values) => write_list(formatter, values, |formatter, value| {
                write!(formatter, "{{{},{}}}", value.type_name(), ErlangValue(value))
            }),
            Value::Table(table) => write_list(formatter, table.iter(), |formatter, (key, value)| {
                write!(formatter, "{{{},{},{}}}", ErlangBinary(key), value.type_name(), ErlangValue(value))
            }),
            integer => write!(formatter, "{}", integer.as_integer().unwrap_or_default()),
        }
    }
}

fn write_list<T>(
    formatter: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    formatter.write_str("[")?;
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            formatter.write_str(",")?;
        }
        write_item(formatter, item)?;
    }
    formatter.write_str("]")
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

    #[test]
    fn shows_values_as_rabbitmq_reads_them() {
        let array = Value::Array(vec![Value::text("a"), Value::I8(1)]);
        assert_eq!(ErlangValue(&array).to_string(), r#"[{longstr,<<"a">>},{byte,1}]"#);
        let table = [(field_table::ShortString::from_static("a"), Value::text("b"))].into_iter().collect();
        assert_eq!(ErlangValue(&Value::Table(table)).to_string(), r#"[{<<"a">>,longstr,<<"b">>}]"#);
        assert_eq!(ErlangValue(&Value::Void).to_string(), "undefined");
        assert_eq!(ErlangValue(&Value::Bool(true)).to_string(), "true");
    }
}

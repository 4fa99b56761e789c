//! Strategies for property tests: every kind of value, nested, with keys that repeat.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{ShortString, Table, Value};

/// Levels of nesting that [`value`] goes down to. Far below the limit: depth has tests of its own.
const NESTING_LEVELS: u32 = 4;

/// A short string of any bytes; mostly short, so that keys repeat.
pub fn short_string() -> impl Strategy<Value = ShortString> {
    prop_oneof![9 => vec(any::<u8>(), 0..4), 1 => vec(any::<u8>(), 250..=ShortString::BYTES_MAX)]
        .prop_map(|bytes| ShortString::try_from(bytes.as_slice()).expect("made short enough"))
}

/// A value of any kind.
pub fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(NESTING_LEVELS, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((short_string(), inner), 0..6).prop_map(|entries| Value::Table(entries.into())),
        ]
    })
}

/// A table of values of any kind.
pub fn table() -> impl Strategy<Value = Table> {
    vec((short_string(), value()), 0..8).prop_map(Table::from)
}

fn leaf() -> impl Strategy<Value = Value> {
    let bytes = || vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        any::<(u8, u32)>().prop_map(|(scale, value)| Value::Decimal { scale, value }),
        bytes().prop_map(Value::LongString),
        bytes().prop_map(Value::ByteArray),
        any::<u64>().prop_map(Value::Timestamp),
        Just(Value::Void),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawEntries;

    fn encoded(table: &Table) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(table in table()) {
            let bytes = encoded(&table);
            let mut input = bytes.as_slice();
            prop_assert_eq!(Table::read(&mut input), Ok(table));
            prop_assert!(input.is_empty());
            prop_assert_eq!(RawEntries::new(&bytes[4..]).check(), Ok(()));
        }

        #[test]
        fn a_value_is_the_same_as_itself_and_equal_tables_hash_alike(table in table()) {
            prop_assert!(table.same_values(&table.clone()));
            prop_assert!(table.same_values(&table.canonical()));
            prop_assert_eq!(table.canonical(), table.canonical().canonical());
            let set = std::collections::HashSet::from([table.clone()]);
            prop_assert!(set.contains(&table));
        }

        #[test]
        fn any_bytes_are_read_or_refused_alike(bytes in vec(any::<u8>(), 0..200)) {
            check_all_readers_agree(&bytes);
        }

        #[test]
        fn damaged_tables_are_read_or_refused_alike(table in table(), at in any::<usize>(), byte in any::<u8>()) {
            let mut bytes = encoded(&table).split_off(4);
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            check_all_readers_agree(&bytes);
        }
    }

    /// Building, checking and walking must not panic and must come to the same verdict.
    fn check_all_readers_agree(entries: &[u8]) {
        let built = Table::decode(entries);
        assert_eq!(built.as_ref().err(), RawEntries::new(entries).check().err().as_ref());
        if let Ok(table) = built {
            let walked = RawEntries::new(entries).map(|entry| {
                let (key, value) = entry.expect("the whole table is well formed");
                (ShortString::try_from(key).expect("a key"), value.decode().expect("a value"))
            });
            assert!(walked.eq(table.iter().cloned()));
        }
    }
}

//! Made-up methods and properties, from the facts that the crate gives about its own methods.

use std::collections::BTreeMap;

use amqp_wire::{ArgumentKind, ArgumentSpec, Method, MethodSpec, Properties, ShortString, Table, Value};
use field_table::strategy;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What arguments are made of.
#[derive(Clone, Copy)]
pub(crate) enum Taste {
    /// Anything that the wire can carry.
    Any,
    /// What the independent codec can hold too: names are text, a table's keys are sorted and do not repeat.
    Plain,
}

/// The encoded payload of some method.
pub(crate) fn method_payload(taste: Taste) -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(Method::ALL).prop_flat_map(move |spec| payload_of(spec, taste))
}

/// Properties of which each may be absent.
pub(crate) fn properties(taste: Taste) -> impl Strategy<Value = Properties> {
    let texts = vec(option::of(short_string(taste)), 10);
    let others = (option::of(table(taste)), any::<(Option<u8>, Option<u8>, Option<u64>)>());
    (others, texts).prop_map(|((headers, (delivery_mode, priority, timestamp)), mut texts)| {
        let mut text = || texts.pop().expect("as many as are asked for");
        Properties {
            content_type: text(),
            content_encoding: text(),
            headers,
            delivery_mode,
            priority,
            correlation_id: text(),
            reply_to: text(),
            expiration: text(),
            message_id: text(),
            timestamp,
            kind: text(),
            user_id: text(),
            app_id: text(),
            cluster_id: text(),
        }
    })
}

/// A table of the given taste.
pub(crate) fn table(taste: Taste) -> BoxedStrategy<Table> {
    match taste {
        Taste::Any => strategy::table().boxed(),
        Taste::Plain => strategy::table().prop_map(|table| plain_table(&table)).boxed(),
    }
}

fn short_string(taste: Taste) -> BoxedStrategy<ShortString> {
    match taste {
        Taste::Any => strategy::short_string().boxed(),
        Taste::Plain => "[a-z.#*\u{e9}]{0,100}".prop_map(|text| ShortString::from_text_cut(&text)).boxed(),
    }
}

fn payload_of(spec: MethodSpec, taste: Taste) -> impl Strategy<Value = Vec<u8>> {
    let arguments: Vec<_> = spec.arguments.iter().map(|argument| encoded_argument(argument, taste)).collect();
    arguments.prop_map(move |arguments| {
        let mut payload = [spec.id.class_id.to_be_bytes(), spec.id.method_id.to_be_bytes()].concat();
        let mut bits_used = 0;
        for (argument, spec) in arguments.iter().zip(spec.arguments) {
            if spec.kind != ArgumentKind::Bit {
                bits_used = 0;
                payload.extend_from_slice(argument);
                continue;
            }
            if bits_used % 8 == 0 {
                payload.push(0);
            }
            *payload.last_mut().expect("pushed above") |= argument[0] << (bits_used % 8);
            bits_used += 1;
        }
        payload
    })
}

/// One argument's bytes; a bit as a byte of 0 or 1. Reserved arguments are what a writer makes them.
fn encoded_argument(argument: &ArgumentSpec, taste: Taste) -> BoxedStrategy<Vec<u8>> {
    let reserved = argument.name == "reserved";
    match argument.kind {
        ArgumentKind::Bit if reserved => Just(vec![0]).boxed(),
        ArgumentKind::U16 if reserved => Just(vec![0; 2]).boxed(),
        ArgumentKind::ShortString if reserved => Just(vec![0]).boxed(),
        ArgumentKind::LongString if reserved => Just(vec![0; 4]).boxed(),
        ArgumentKind::Bit => any::<bool>().prop_map(|bit| vec![bit.into()]).boxed(),
        ArgumentKind::U8 => vec(any::<u8>(), 1).boxed(),
        ArgumentKind::U16 => vec(any::<u8>(), 2).boxed(),
        ArgumentKind::U32 => vec(any::<u8>(), 4).boxed(),
        ArgumentKind::U64 => vec(any::<u8>(), 8).boxed(),
        ArgumentKind::ShortString => {
            short_string(taste).prop_map(|text| encoded(|out| text.encode(out))).boxed()
        }
        ArgumentKind::LongString => vec(any::<u8>(), 0..60)
            .prop_map(|bytes| [(bytes.len() as u32).to_be_bytes().as_slice(), &bytes].concat())
            .boxed(),
        ArgumentKind::Table => table(taste).prop_map(|table| encoded(|out| table.encode(out))).boxed(),
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// The table with text for keys, sorted, each once.
fn plain_table(table: &Table) -> Table {
    let entries: BTreeMap<String, _> =
        table.iter().map(|(key, value)| (hexadecimal(key), plain_value(value))).collect();
    entries.into_iter().map(|(key, value)| (ShortString::from_text_cut(&key), value)).collect()
}

fn plain_value(value: &Value) -> Value {
    match value {
        Value::Table(table) => Value::Table(plain_table(table)),
        Value::Array(values) => Value::Array(values.iter().map(plain_value).collect()),
        other => other.clone(),
    }
}

fn hexadecimal(key: &[u8]) -> String {
    key.iter().take(100).map(|byte| format!("{byte:02x}")).collect()
}

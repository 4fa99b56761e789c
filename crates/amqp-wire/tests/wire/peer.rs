//! Comparison with `amq-protocol`, a codec that was written by others.
//!
//! Where the two differ on purpose, ours follows RabbitMQ and the samples keep off:
//! - short strings are text there and any bytes here;
//! - tables are sorted there, without repeated keys, and ordered here, with them;
//! - it also reads `U` as a 16-bit integer, which RabbitMQ does not know;
//! - it has no field for basic.qos's prefetch size nor for access.request-ok's ticket, and writes 0 and 1.

use amq_protocol::frame::parsing::parse_content_header;
use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, GenResult, WriteContext, gen_frame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, gen_class, parse_class};
use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use amq_protocol::types::{AMQPValue, DecimalValue, FieldTable};
use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{
    ContentHeader, FrameScanner, Method, Properties, ShortString, Table, Value, access, basic, queue,
};
use proptest::prelude::*;

use crate::sample::{Taste, method_payload, properties, table};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn methods_are_the_same_in_both_directions(payload in method_payload(Taste::Plain)) {
        let ours = Method::decode(&payload).expect("we read what the table of methods says");
        let mut written = Vec::new();
        ours.encode(&mut written);
        prop_assert_eq!(&written, &payload);

        let (rest, theirs) = parse_class(payload.as_slice()).expect("they read what we wrote");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(theirs.get_amqp_class_id(), ours.id().class_id);
        prop_assert_eq!(theirs.get_amqp_method_id(), ours.id().method_id);
        let theirs_written = generated(|context| gen_class(&theirs)(context));
        prop_assert_eq!(Method::decode(&theirs_written), Ok(as_they_keep_it(ours)), "{:?}", theirs);
    }

    #[test]
    fn tables_are_the_same_in_both_directions(table in table(Taste::Plain)) {
        let theirs = their_table(&table);
        let mut written = Vec::new();
        table.encode(&mut written);
        prop_assert_eq!(&generated(|context| gen_field_table(&theirs)(context)), &written);
        let (rest, parsed) = parse_field_table(written.as_slice()).expect("they read what we wrote");
        prop_assert!(rest.is_empty());
        // Written again, because a NaN does not equal itself there.
        prop_assert_eq!(&generated(|context| gen_field_table(&parsed)(context)), &written);
        prop_assert_eq!(Table::read(&mut written.as_slice()), Ok(table));
    }

    #[test]
    fn content_headers_are_the_same_in_both_directions(properties in properties(Taste::Plain), body_bytes: u64) {
        let theirs = their_properties(&properties);
        let header = AMQPContentHeader { class_id: 60, body_size: body_bytes, properties: theirs };
        let frame = AMQPFrame::Header(7, header);
        let written = generated(|context| gen_frame(&frame)(context));
        let mut scanner = FrameScanner::new(&written, 0);
        let found = scanner.next_frame().unwrap().expect("a whole frame");
        let payload = scanner.payload(&found);
        let header = ContentHeader::decode(payload).expect("we read what they wrote");
        prop_assert_eq!((found.channel, header.class_id, header.weight), (7, 60, 0));
        prop_assert_eq!(header.body_bytes, body_bytes);
        let ours = [&payload[..12], &properties.to_bytes()].concat();
        prop_assert_eq!(Properties::decode(header.properties.as_bytes()), Ok(properties));
        prop_assert_eq!(ours.as_slice(), payload);
        let (rest, _) = parse_content_header(ours.as_slice()).expect("they read what we wrote");
        prop_assert!(rest.is_empty());
    }
}

/// Bytes alone do not show two fields of one type that were exchanged; names do.
#[test]
fn fields_have_the_same_names() {
    let name = ShortString::from_static;
    let ours = basic::Deliver {
        consumer_tag: name("tag"),
        delivery_tag: 9,
        redelivered: true,
        exchange: name("from"),
        routing_key: name("key"),
    };
    let AMQPClass::Basic(amq_protocol::protocol::basic::AMQPMethod::Deliver(theirs)) = their_method(ours)
    else {
        panic!("not a delivery")
    };
    assert_eq!((theirs.consumer_tag.as_str(), theirs.delivery_tag, theirs.redelivered), ("tag", 9, true));
    assert_eq!((theirs.exchange.as_str(), theirs.routing_key.as_str()), ("from", "key"));

    let ours = queue::Declare { queue: name("q"), durable: true, auto_delete: true, ..Default::default() };
    let AMQPClass::Queue(amq_protocol::protocol::queue::AMQPMethod::Declare(theirs)) = their_method(ours)
    else {
        panic!("not a declaration")
    };
    let bits = (theirs.passive, theirs.durable, theirs.exclusive, theirs.auto_delete, theirs.nowait);
    assert_eq!((theirs.queue.as_str(), bits), ("q", (false, true, false, true, false)));
}

#[test]
fn they_read_a_message_that_the_short_way_wrote() {
    let mut bytes = Vec::new();
    let publication = Publication { exchange: b"from", routing_key: b"key", mandatory: true };
    let properties = Properties { delivery_mode: Some(2), ..Default::default() }.to_bytes();
    hot::publish(&mut bytes, 3, 4096, &publication, Content { properties: &properties, body: &[7; 5000] });

    let mut rest = bytes.as_slice();
    let mut body = Vec::new();
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let (after, frame) = amq_protocol::frame::parse_frame(rest).expect("they read what we wrote");
        rest = after;
        kinds.push(match frame {
            AMQPFrame::Method(3, _) => "method",
            AMQPFrame::Header(3, header) => {
                assert_eq!((header.body_size, header.properties.delivery_mode()), (5000, &Some(2)));
                "header"
            }
            AMQPFrame::Body(3, part) => {
                body.extend_from_slice(&part);
                "body"
            }
            other => panic!("unexpected {other:?}"),
        });
    }
    assert_eq!(kinds, ["method", "header", "body", "body"]);
    assert_eq!(body, [7; 5000]);
}

fn as_they_keep_it(method: Method) -> Method {
    match method {
        Method::Basic(basic::Method::Qos(qos)) => basic::Qos { prefetch_size: 0, ..qos }.into(),
        Method::Access(access::Method::RequestOk(_)) => access::RequestOk { ticket: 1 }.into(),
        other => other,
    }
}

fn their_method(ours: impl Into<Method>) -> AMQPClass {
    let mut payload = Vec::new();
    ours.into().encode(&mut payload);
    parse_class(payload.as_slice()).expect("they read what we wrote").1
}

fn generated(write: impl FnOnce(WriteContext<Vec<u8>>) -> GenResult<Vec<u8>>) -> Vec<u8> {
    write(Vec::new().into()).expect("they write to memory").into_inner().0
}

fn their_table(table: &Table) -> FieldTable {
    let mut theirs = FieldTable::default();
    for (key, value) in table {
        theirs.insert(key.to_string().into(), their_value(value));
    }
    theirs
}

fn their_value(value: &Value) -> AMQPValue {
    match value {
        Value::Bool(truth) => AMQPValue::Boolean(*truth),
        Value::I8(number) => AMQPValue::ShortShortInt(*number),
        Value::U8(number) => AMQPValue::ShortShortUInt(*number),
        Value::I16(number) => AMQPValue::ShortInt(*number),
        Value::U16(number) => AMQPValue::ShortUInt(*number),
        Value::I32(number) => AMQPValue::LongInt(*number),
        Value::U32(number) => AMQPValue::LongUInt(*number),
        Value::I64(number) => AMQPValue::LongLongInt(*number),
        Value::F32(number) => AMQPValue::Float(*number),
        Value::F64(number) => AMQPValue::Double(*number),
        Value::Decimal { scale, value } => {
            AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *value })
        }
        Value::LongString(bytes) => AMQPValue::LongString(bytes.to_vec().into()),
        Value::ByteArray(bytes) => AMQPValue::ByteArray(bytes.to_vec().into()),
        Value::Array(values) => {
            AMQPValue::FieldArray(values.iter().map(their_value).collect::<Vec<_>>().into())
        }
        Value::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        Value::Table(table) => AMQPValue::FieldTable(their_table(table)),
        Value::Void => AMQPValue::Void,
    }
}

fn their_properties(ours: &Properties) -> BasicProperties {
    let mut theirs = BasicProperties::default();
    let text = |text: &ShortString| text.to_string().into();
    macro_rules! copy {
        ($($field:ident $setter:ident $convert:expr),* $(,)?) => {$(
            if let Some(value) = &ours.$field {
                theirs = theirs.$setter($convert(value));
            }
        )*};
    }
    copy!(
        content_type with_content_type text,
        content_encoding with_content_encoding text,
        headers with_headers their_table,
        delivery_mode with_delivery_mode u8::clone,
        priority with_priority u8::clone,
        correlation_id with_correlation_id text,
        reply_to with_reply_to text,
        expiration with_expiration text,
        message_id with_message_id text,
        timestamp with_timestamp u64::clone,
        kind with_type text,
        user_id with_user_id text,
        app_id with_app_id text,
        cluster_id with_cluster_id text,
    );
    theirs
}

//! Tests of single methods; the property tests over all of them are in the integration tests.

use super::*;

fn check_bytes(method: impl Into<Method>, payload: &[u8]) {
    let method = method.into();
    let mut out = Vec::new();
    method.encode(&mut out);
    assert_eq!(out, payload);
    assert_eq!(Method::decode(payload), Ok(method));
}

#[test]
fn reserved_strings_are_there_although_nobody_sees_them() {
    check_bytes(connection::OpenOk {}, b"\x00\x0a\x00\x29\x00");
    check_bytes(channel::OpenOk {}, b"\x00\x14\x00\x0b\x00\x00\x00\x00");
    check_bytes(basic::GetEmpty {}, b"\x00\x3c\x00\x48\x00");
}

#[test]
fn numbers_of_extensions_are_rabbitmqs() {
    check_bytes(exchange::UnbindOk {}, b"\x00\x28\x00\x33");
    check_bytes(
        basic::Nack { delivery_tag: 1, multiple: false, requeue: true },
        b"\0\x3c\0\x78\0\0\0\0\0\0\0\x01\x02",
    );
}

#[test]
fn a_ticket_of_an_old_client_is_ignored() {
    let payload = b"\x00\x3c\x00\x46\x00\x65\x01q\x01";
    let expected = basic::Get { queue: field_table::ShortString::from_static("q"), no_ack: true };
    assert_eq!(Method::decode(payload), Ok(expected.into()));
}

#[test]
fn unknown_and_malformed_are_different_errors() {
    let id = MethodId { class_id: 60, method_id: 41 };
    assert_eq!(Method::decode(b"\x00\x3c\x00\x29"), Err(MethodError::UnknownMethod { id }));
    let id = MethodId { class_id: 99, method_id: 10 };
    assert_eq!(Method::decode(b"\x00\x63\x00\x0a"), Err(MethodError::UnknownMethod { id }));
    assert_eq!(Method::decode(b"\x00\x3c\x00"), Err(MethodError::NoId { payload_bytes: 3 }));
    assert_eq!(
        Method::decode(b"\x00\x3c\x00\x50\x00\x00\x00"),
        Err(MethodError::Malformed {
            id: MethodId { class_id: 60, method_id: 80 },
            name: "basic.ack",
            reason: ArgumentError::Truncated { bytes_missing: 5 },
        })
    );
}

#[test]
fn bytes_behind_the_last_argument_are_an_error() {
    let error = Method::decode(b"\x00\x5a\x00\x0a\x00").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot decode the arguments of tx.select: 1 bytes follow the last argument"
    );
}

#[test]
fn content_follows_four_methods() {
    let with_content: Vec<_> =
        Method::ALL.iter().filter(|spec| spec.carries_content).map(|spec| spec.name).collect();
    assert_eq!(with_content, ["basic.publish", "basic.return", "basic.deliver", "basic.get-ok"]);
}

#[test]
fn passwords_do_not_show() {
    let response = bytes::Bytes::from_static(b"\0guest\0hunter2");
    let shown = format!("{:?}", Method::from(connection::SecureOk { response }));
    assert_eq!(shown, "Connection(SecureOk(SecureOk { response: 14 secret bytes }))");
}

//! Bytes to frames to values and back: what must hold for whatever a peer sends.
//!
//! Used by the tests here and by the fuzz target `wire_codec`.

use amqp_wire::hot::HotMethod;
use amqp_wire::{
    ContentHeader, Frame, FrameKind, FrameScanner, Method, Properties, PropertiesView, ProtocolHeader,
    RawEntries, Table, next_frame,
};

/// Reads `bytes` as the stream of a peer and as each kind of payload, and checks what comes out.
pub(crate) fn exercise(bytes: &[u8]) {
    if let Some(start) = bytes.first_chunk() {
        ProtocolHeader::parse(start);
    }
    check_stream(bytes, 131_072);
    check_stream(bytes, 4096);
    check_method(bytes);
    check_content_header(bytes);
    check_properties(bytes);
    check_table(bytes);
}

/// Every frame of the stream is whole, lies behind the one before, and its payload is checked as its kind.
fn check_stream(bytes: &[u8], frame_max: u32) {
    let mut scanner = FrameScanner::new(bytes, frame_max);
    let mut end = 0;
    while let Ok(Some(frame)) = scanner.next_frame() {
        assert_eq!(frame.payload.start, end + 7);
        end = frame.end();
        assert_eq!(scanner.consumed_bytes(), end);
        check_frame_needs_all_its_bytes(bytes, &frame);
        let payload = scanner.payload(&frame);
        match frame.kind {
            FrameKind::Method => check_method(payload),
            FrameKind::Header => check_content_header(payload),
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
    }
}

fn check_frame_needs_all_its_bytes(bytes: &[u8], frame: &Frame) {
    let start = frame.payload.start - 7;
    assert_eq!(next_frame(&bytes[..frame.end() - 1], start, 0), Ok(None));
    assert_eq!(next_frame(&bytes[..frame.end()], start, 0).as_ref(), Ok(&Some(frame.clone())));
}

/// A method that can be read is written and read again as the same, also by the short way.
fn check_method(payload: &[u8]) {
    let decoded = Method::decode(payload);
    check_short_way(payload, &decoded);
    let Ok(method) = decoded else { return };
    let mut written = Vec::new();
    method.encode(&mut written);
    assert_eq!(Method::decode(&written), Ok(method));
}

fn check_short_way(payload: &[u8], decoded: &Result<Method, amqp_wire::MethodError>) {
    use amqp_wire::basic;

    let short = match HotMethod::parse(payload) {
        Ok(HotMethod::Other) => return,
        Ok(HotMethod::Publish(view)) => Ok(basic::Publish {
            exchange: view.exchange(payload).try_into().expect("a short string"),
            routing_key: view.routing_key(payload).try_into().expect("a short string"),
            mandatory: view.mandatory,
            immediate: view.immediate,
        }
        .into()),
        Ok(HotMethod::Ack(ack)) => Ok(ack.into()),
        Ok(HotMethod::Nack(nack)) => Ok(nack.into()),
        Ok(HotMethod::Reject(reject)) => Ok(reject.into()),
        Err(error) => Err(error),
    };
    assert_eq!(&short, decoded);
}

fn check_content_header(payload: &[u8]) {
    if let Ok(header) = ContentHeader::decode(payload) {
        assert_eq!(header.properties.as_bytes(), &payload[12..]);
        check_properties(header.properties.as_bytes());
    }
}

/// Peeks and decoding see the same; a copy with something changed and changed back is the original.
fn check_properties(raw: &[u8]) {
    let properties = Properties::decode(raw);
    let Ok(view) = PropertiesView::parse(raw) else {
        assert!(properties.is_err());
        return;
    };
    let properties = properties.expect("the view accepted the bytes");
    assert_eq!(view.delivery_mode(), properties.delivery_mode);
    assert_eq!(view.priority(), properties.priority);
    assert_eq!(view.timestamp(), properties.timestamp);
    assert_eq!(view.reply_to(), properties.reply_to.as_deref());
    assert_eq!(view.user_id(), properties.user_id.as_deref());
    assert_eq!(Properties::decode(&properties.to_bytes()).as_ref(), Ok(&properties));

    let without = view.with_reply_to(None);
    let without = PropertiesView::parse(&without).expect("a changed copy is well formed");
    assert_eq!(without.reply_to(), None);
    assert_eq!(without.with_reply_to(properties.reply_to.as_ref()), raw);

    let without = view.with_headers(None);
    let without = PropertiesView::parse(&without).expect("a changed copy is well formed");
    let restored = Properties::decode(&without.with_headers(properties.headers.as_ref()));
    assert_eq!(restored, Ok(properties));
}

fn check_table(entries: &[u8]) {
    let checked = RawEntries::new(entries).check();
    let Ok(table) = Table::decode(entries) else {
        assert!(checked.is_err());
        return;
    };
    assert_eq!(checked, Ok(()));
    let mut written = Vec::new();
    table.encode(&mut written);
    assert_eq!(Table::read(&mut written.as_slice()), Ok(table));
}

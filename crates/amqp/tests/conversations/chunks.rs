//! Whatever the client sends, and however it is cut into reads.

use amqp_wire::{FrameKind, Method, Properties, basic, channel, confirm, connection, exchange, queue, tx};
use broker::Command;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::exercise::{HANDSHAKE, exercise};
use crate::support::{
    Conversation, HEADER, frame, header_frame, method_frame, name, open_vhost, publish_frames, start_ok,
    tune_ok,
};

/// Pieces of what a client might send on a connection that is open: most of them right, some wrong.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let number = || 0..4_u16;
    prop_oneof![
        4 => number().prop_map(|channel| method_frame(channel, channel::Open {})),
        6 => (number(), 0..3_usize, vec(any::<u8>(), 0..40)).prop_map(|(channel, properties, body)| {
            publish_frames(channel, 20, "key", &some_properties(properties), &body)
        }),
        6 => (number(), 0..12_usize).prop_map(|(channel, which)| method_frame(channel, some_method(which))),
        1 => number().prop_map(|channel| header_frame(channel, 3, &[0, 0])),
        1 => (number(), vec(any::<u8>(), 0..6)).prop_map(|(channel, body)| frame(FrameKind::Body, channel, &body)),
        1 => number().prop_map(|channel| frame(FrameKind::Heartbeat, channel, b"")),
        1 => (number(), vec(any::<u8>(), 0..30)).prop_map(|(channel, bytes)| {
            frame(FrameKind::Method, channel, &bytes)
        }),
        1 => vec(any::<u8>(), 0..12),
    ]
}

fn some_properties(which: usize) -> Vec<u8> {
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
    match which {
        0 => vec![0, 0],
        1 => properties.to_bytes(),
        _ => Properties { reply_to: Some(name("amq.rabbitmq.reply-to")), ..properties }.to_bytes(),
    }
}

fn some_method(which: usize) -> Method {
    let consume = basic::Consume { queue: name("amq.rabbitmq.reply-to"), no_ack: true, ..Default::default() };
    match which {
        0 => channel::Close { reply_text: name("bye"), ..Default::default() }.into(),
        1 => channel::CloseOk {}.into(),
        2 => queue::Declare::default().into(),
        3 => queue::Bind { exchange: name("x"), ..Default::default() }.into(),
        4 => exchange::Declare { exchange: name("x\n"), ..Default::default() }.into(),
        5 => basic::Ack { delivery_tag: 1, multiple: true }.into(),
        6 => consume.into(),
        7 => basic::Publish { immediate: true, ..Default::default() }.into(),
        8 => confirm::Select { no_wait: true }.into(),
        9 => tx::Commit {}.into(),
        10 => connection::Close::default().into(),
        _ => queue::DeclareOk::default().into(),
    }
}

fn handshake() -> Vec<u8> {
    let frames = [method_frame(0, start_ok()), method_frame(0, tune_ok(0)), method_frame(0, open_vhost())];
    [HEADER.to_vec(), frames.concat()].concat()
}

/// Sends `bytes` cut at `cuts`, granting what is asked for, and returns all that came of it.
fn run(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Vec<u8>, amqp::Status) {
    let mut talk = Conversation::new();
    let mut sent = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        talk.send_bytes(&bytes[sent..end]);
        sent = end;
        while let Some(request) = talk.connection.take_request() {
            match request {
                amqp::Request::Authenticate { .. } => {
                    talk.connection.authenticated(talk.now, Ok(amqp::Login::default()), &mut talk.output);
                }
                amqp::Request::OpenVhost { .. } => {
                    talk.connection.vhost_opened(talk.now, Ok(()), &mut talk.output);
                }
            }
            talk.receive();
        }
    }
    (talk.commands.iter().map(shown).collect(), talk.output.clone(), talk.connection.status())
}

/// A command as text. Envelopes show their parts, not the buffers in which they lie.
fn shown(command: &Command) -> String {
    match command {
        Command::Session { session, request, operation: broker::Operation::Publish(publish) } => {
            let envelope = &publish.envelope;
            let parts = [envelope.exchange(), envelope.routing_key(), envelope.properties(), envelope.body()]
                .map(Vec::from);
            format!(
                "{session} {request:?} {parts:?} {} {} {:?}",
                publish.mandatory, publish.persistent, publish.headers
            )
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn reads_may_end_anywhere(pieces in vec(piece(), 0..12), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let bytes = [handshake(), pieces.concat()].concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(run(&bytes, &cuts), run(&bytes, &[]));
    }

    #[test]
    fn a_byte_at_a_time_is_as_good_as_all(pieces in vec(piece(), 0..6)) {
        let bytes = [handshake(), pieces.concat()].concat();
        let cuts: Vec<_> = (1..bytes.len()).collect();
        prop_assert_eq!(run(&bytes, &cuts), run(&bytes, &[]));
    }

    #[test]
    fn random_bytes_harm_nobody(how: u8, bytes in vec(any::<u8>(), 0..400), is_greeted: bool) {
        let start = if is_greeted && how & 1 == 0 { HEADER } else { &[] };
        exercise(&[&[how], start, &bytes].concat());
    }

    #[test]
    fn a_flipped_byte_harms_nobody(
        how: u8,
        pieces in vec(piece(), 1..8),
        position in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut bytes = pieces.concat();
        if !bytes.is_empty() {
            let position = position.index(bytes.len());
            bytes[position] ^= flip;
        }
        exercise(&[&[how | 1], bytes.as_slice()].concat());
        exercise(&[&[how & !1], handshake().as_slice(), &bytes].concat());
    }
}

#[test]
fn the_handshake_of_the_exercise_is_one() {
    let mut expected = handshake();
    expected
        .truncate(expected.len() - method_frame(0, open_vhost()).len() - method_frame(0, tune_ok(0)).len());
    assert!(HANDSHAKE.starts_with(&expected), "start-ok");
    let rest =
        [method_frame(0, tune_ok(60)), method_frame(0, open_vhost()), method_frame(1, channel::Open {})];
    assert_eq!(&HANDSHAKE[expected.len()..], rest.concat());
}

//! The message path allocates nothing per message: a thousand publishes, acks, deliveries and confirms are counted.

use std::sync::Arc;

use allocation_count::{CountingAllocator, allocations_of};
use amqp::{Connection, Login, Settings, Status};
use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{Method, Properties, ShortString, channel, connection};
use broker::{Answer, Command, ConnectionId, Effect, Envelope, Operation, Timestamp};
use bytes::BytesMut;

const MESSAGES: u64 = 1000;
const NOW: Timestamp = Timestamp(1);

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct Running {
    connection: Connection,
    commands: Vec<Command>,
    output: Vec<u8>,
}

impl Running {
    /// A connection with channel 1 open, and room for what is to come.
    fn new() -> Self {
        let connection = Connection::new(Arc::new(Settings::default()), ConnectionId(1), Box::new(|| 4), NOW);
        let (commands, output) = (Vec::with_capacity(4 * MESSAGES as usize), Vec::with_capacity(4 << 20));
        let mut running = Self { connection, commands, output };
        running.send(b"AMQP\0\0\x09\x01");
        let response = b"\0guest\0guest".as_slice().into();
        let mechanism = ShortString::from_static("PLAIN");
        running.send_method(0, connection::StartOk { mechanism, response, ..Default::default() });
        running.connection.authenticated(NOW, Ok(Login::default()), &mut running.output);
        running.send_method(0, connection::TuneOk { channel_max: 1, frame_max: 131_072, heartbeat: 60 });
        running.send_method(0, connection::Open { virtual_host: ShortString::from_static("/") });
        running.connection.vhost_opened(NOW, Ok(()), &mut running.output);
        running.send_method(1, channel::Open {});
        let Some(Command::Session { request, .. }) = running.commands.pop() else { panic!("an opening") };
        running.tell(Effect::Answered { request, answer: Answer::SessionOpened });
        assert_eq!(running.connection.status(), Status::Running);
        running.output.clear();
        running
    }

    fn send(&mut self, bytes: &[u8]) {
        self.receive(&mut BytesMut::from(bytes));
    }

    fn send_method(&mut self, channel: u16, method: impl Into<Method>) {
        let mut bytes = Vec::new();
        method.into().encode_frame(&mut bytes, channel);
        self.send(&bytes);
    }

    fn receive(&mut self, input: &mut BytesMut) {
        self.connection.receive(NOW, input, &mut self.commands, &mut self.output);
        self.connection.take_request();
    }

    fn tell(&mut self, effect: Effect<Envelope>) {
        self.connection.effect(NOW, Some(1), effect, &mut self.commands, &mut self.output);
    }
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_message_costs_no_allocation_from_bytes_to_command_and_back() {
    let body = [7; 1024];
    let properties = Properties { delivery_mode: Some(2), ..Default::default() }.to_bytes();
    let content = Content { properties: &properties, body: &body };
    let mut bytes = Vec::new();
    for number in 1..=MESSAGES {
        let publication = Publication { exchange: b"", routing_key: b"queue", mandatory: false };
        hot::publish(&mut bytes, 1, 131_072, &publication, content);
        hot::ack(&mut bytes, 1, number, false);
    }
    let mut input = BytesMut::from(bytes.as_slice());
    let mut running = Running::new();
    let consumer_tag = ShortString::from_static("consumer");

    // One for the read buffer, which begins to be shared.
    let receiving = allocations_of(|| running.receive(&mut input));
    assert!(receiving <= 1, "{receiving} allocations for {MESSAGES} publishes and acks");
    assert_eq!(running.commands.len() as u64, 2 * MESSAGES);

    let mut commands = std::mem::take(&mut running.commands);
    let sending = allocations_of(|| {
        for (number, command) in (1..).zip(commands.drain(..)) {
            let Command::Session { operation: Operation::Publish(publish), .. } = command else { continue };
            running.tell(Effect::Confirmed { up_to: number });
            let (consumer_tag, message) = (consumer_tag.clone(), publish.envelope);
            running.tell(Effect::Deliver {
                consumer_tag,
                delivery_tag: number,
                redelivered: false,
                task: None,
                message,
            });
        }
    });
    assert_eq!(sending, 0, "allocations for {MESSAGES} confirms and deliveries");
    assert!(running.output.len() as u64 > MESSAGES * 1024);
}

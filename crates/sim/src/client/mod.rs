//! A client of AMQP: what it sends, what it makes of what it reads.

mod channel;
mod hear;
mod incoming;
mod role;
mod solo;
mod turn;

use std::collections::BTreeMap;

use amqp_wire::{Method, Properties, Table, Value, connection};
use bytes::Bytes;

pub use channel::{Asked, Channel, Collected, Consumer, Held, Mode, Request, Unconfirmed};
pub use hear::{Heard, Hearing};
pub use incoming::{Assembly, Content, Incoming};
pub use role::{Operation, Role};
pub use solo::{Proof, Solo};
pub use turn::{Publishing, Turn, name};

use crate::agenda::Micros;
use crate::line::LineId;
use crate::messages::MessageId;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has no connection.
    Offline,
    /// It waits for its connection to be open.
    Greeting,
    /// It is at work.
    Open,
    /// It has said goodbye.
    Leaving,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub number: u32,
    /// What it does.
    pub role: Role,
    /// Its connection.
    pub line: LineId,
    /// How far it has come.
    pub phase: Phase,
    /// Its channels.
    pub channels: BTreeMap<u16, Channel>,
    /// What it wants to send.
    pub output: Vec<u8>,
    /// It does not read before this time.
    pub deaf_until: Micros,
    /// When it began to wait for what it waits for; nothing when it waits for nothing.
    pub waiting_since: Option<Micros>,
    /// What it knows of the queue that it has to itself.
    pub solo: Option<Solo>,
    /// For a mover: the queue that it takes from.
    pub moving_from: usize,
    /// For an auditor: the queue that it looks through.
    pub audited: Option<String>,
    /// For an employer: tasks that it has published under a key.
    pub keyed: Vec<KeyedTask>,
    /// It cuts its connection.
    pub vanishes: bool,
    assembly: Assembly,
}

/// A task that was published under a key.
#[derive(Clone, Debug)]
pub struct KeyedTask {
    /// Its message.
    pub id: MessageId,
    /// Its body.
    pub body: Vec<u8>,
    /// Its queue.
    pub queue: &'static str,
    /// Its properties, the key among them.
    pub properties: Properties,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(number: u32, role: Role) -> Self {
        Self {
            number,
            role,
            line: LineId(0),
            phase: Phase::Offline,
            channels: BTreeMap::new(),
            output: Vec::new(),
            deaf_until: 0,
            waiting_since: None,
            solo: (role == Role::Solo).then(Solo::default),
            moving_from: 0,
            audited: None,
            keyed: Vec::new(),
            vanishes: false,
            assembly: Assembly::default(),
        }
    }

    /// Begins a connection.
    pub fn connect(&mut self, line: LineId) {
        self.disconnected();
        self.line = line;
        self.phase = Phase::Greeting;
        self.output.extend_from_slice(b"AMQP\0\0\x09\x01");
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Offline;
        self.channels.clear();
        self.output.clear();
        self.assembly = Assembly::default();
        self.waiting_since = None;
    }

    /// Sends a method.
    pub fn send(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode_frame(&mut self.output, channel);
    }

    /// Whether it waits for anything that has to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let waits = |channel: &Channel| !channel.asked.is_empty() || !channel.unconfirmed.is_empty();
        matches!(self.phase, Phase::Greeting | Phase::Leaving) || self.channels.values().any(waits)
    }

    fn connection_method(&mut self, method: &connection::Method) {
        match method {
            connection::Method::Start(_) => self.send(
                0,
                connection::StartOk {
                    client_properties: capabilities(),
                    mechanism: name("PLAIN"),
                    response: Bytes::from_static(b"\0guest\0guest"),
                    locale: name("en_US"),
                },
            ),
            connection::Method::Tune(_) => {
                // Frames so small that many messages need several.
                self.send(0, connection::TuneOk { channel_max: 8, frame_max: 4096, heartbeat: 0 });
                self.send(0, connection::Open { virtual_host: name("/") });
            }
            connection::Method::OpenOk(_) => self.phase = Phase::Open,
            connection::Method::Close(_) => {
                self.send(0, connection::CloseOk {});
                self.phase = Phase::Leaving;
            }
            _ => {}
        }
    }
}

fn capabilities() -> Table {
    let all = ["authentication_failure_close", "consumer_cancel_notify", "publisher_confirms"];
    let capabilities: Table = all.map(|one| (name(one), Value::Bool(true))).into_iter().collect();
    [(name("capabilities"), Value::Table(capabilities))].into_iter().collect()
}

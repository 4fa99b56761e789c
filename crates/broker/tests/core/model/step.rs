//! The steps of a conversation, and how bytes become steps.

use broker::{Binding, Consume, DeclareExchange, DeclareQueue, Operation, Outcome};
use field_table::{Table, Value};

use crate::choices::Choices;
use crate::world::name;

/// A session: one of two channels of one of three connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client {
    pub(crate) connection: usize,
    pub(crate) channel: u16,
}

/// How many connections there are.
pub(crate) const CONNECTIONS: usize = 3;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish(Client, Publication),
    /// Publishes to the reply address of another client.
    Reply(Client, Client),
    /// Settles one of the deliveries that the client has, or one that it has not.
    Settle {
        by: Client,
        which: u8,
        multiple: bool,
        outcome: Outcome,
    },
    /// Anything else that a session can ask for.
    Ask(Client, Operation),
    Disconnect {
        connection: usize,
        lost: bool,
    },
    Sent {
        connection: usize,
        bytes: u64,
    },
    Seal,
    Restart(Restart),
}

/// What is published, but for its body.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) exchange: &'static str,
    pub(crate) key: String,
    pub(crate) headers: Table,
    pub(crate) persistent: bool,
    pub(crate) mandatory: bool,
}

/// From what the broker starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// From the whole journal, after a crash that took the last checkpoint along.
    FromJournal,
    /// From the last checkpoint, if there is one, and what was journaled behind it, after a crash.
    FromCheckpoint,
    /// From a checkpoint of its end, which was in peace.
    Cleanly,
}

/// Headers are compared in more ways than keys.
const EXCHANGES: [&str; 11] = [
    "amq.headers",
    "amq.fanout",
    "amq.direct",
    "amq.topic",
    "amq.headers",
    "amq.headers",
    "x1",
    "x2",
    "x3",
    "x4",
    "amq.none",
];
const QUEUES: [&str; 7] = ["durable", "other", "memory", "q1", "q2", "q3", "amq.none"];
const KEYS: [&str; 10] = ["a", "b", "a.b", "b.a.b", "", "*", "#", "a.*", "#.b", "*.#.b"];
const TAGS: [&str; 3] = ["t", "u", "v"];
const KINDS: [&str; 5] = ["fanout", "direct", "topic", "headers", "none"];

impl Step {
    /// Decodes the next step. The first bytes of a step say what it is, those behind it are its details.
    pub(crate) fn decode(choices: &mut Choices<'_>) -> Self {
        let kind = choices.byte() % 64;
        let by = client(choices);
        match kind {
            0..=13 => Self::Publish(by, publication(choices)),
            14 => Self::Reply(by, client(choices)),
            15..=25 => Self::Settle {
                by,
                which: choices.byte(),
                multiple: choices.flag(),
                outcome: choices.one_of(&OUTCOMES),
            },
            60 => Self::Disconnect { connection: by.connection, lost: choices.flag() },
            61 => Self::Sent { connection: by.connection, bytes: u64::from(choices.byte()) },
            62 => Self::Seal,
            26 | 63 => Self::Restart(choices.one_of(&RESTARTS)),
            _ => Self::Ask(by, operation(kind, choices)),
        }
    }

    /// All steps that the bytes are, `max` at most.
    pub(crate) fn decode_all(bytes: &[u8], max: usize) -> Vec<Self> {
        let mut choices = Choices::new(bytes);
        let mut steps = Vec::new();
        while !choices.is_empty() && steps.len() < max {
            steps.push(Self::decode(&mut choices));
        }
        steps
    }
}

const OUTCOMES: [Outcome; 4] =
    [Outcome::Acknowledged, Outcome::Acknowledged, Outcome::Requeued, Outcome::Discarded];
const RESTARTS: [Restart; 4] =
    [Restart::Cleanly, Restart::FromCheckpoint, Restart::FromJournal, Restart::Cleanly];

fn client(choices: &mut Choices<'_>) -> Client {
    let byte = choices.byte();
    Client { connection: usize::from(byte) % CONNECTIONS, channel: 1 + u16::from(byte >= 192) }
}

fn publication(choices: &mut Choices<'_>) -> Publication {
    let direct = choices.flag();
    let exchange = if direct { choices.one_of(&EXCHANGES) } else { "" };
    let key = if direct { choices.one_of(&KEYS) } else { choices.one_of(&QUEUES) };
    let flags = choices.byte();
    Publication {
        exchange,
        key: key.to_owned(),
        headers: table(if direct { HEADERS[usize::from(flags >> 2) % HEADERS.len()] } else { &[] }),
        persistent: flags & 1 == 0,
        mandatory: flags & 2 == 2,
    }
}

/// What a session asks for beside publishing and settling.
fn operation(kind: u8, choices: &mut Choices<'_>) -> Operation {
    let queue = |choices: &mut Choices<'_>| name(choices.one_of(&QUEUES));
    match kind {
        27..=31 => Operation::Get { queue: queue(choices), no_ack: choices.flag() },
        32..=37 => Operation::Consume(consume(choices)),
        38..=39 => Operation::Cancel { tag: name(choices.one_of(&TAGS)) },
        40 => Operation::Recover,
        41..=42 => Operation::SetPrefetch { count: u16::from(choices.byte() % 4), shared: choices.flag() },
        43..=45 => Operation::DeclareQueue(declare_queue(choices)),
        46 => Operation::DeleteQueue {
            name: queue(choices),
            if_unused: choices.flag(),
            if_empty: choices.flag(),
        },
        47 => Operation::PurgeQueue { name: queue(choices) },
        48..=50 => Operation::BindQueue(binding(choices, &QUEUES)),
        51 => Operation::UnbindQueue(binding(choices, &QUEUES)),
        52 => Operation::BindExchange(binding(choices, &EXCHANGES)),
        53 => Operation::UnbindExchange(binding(choices, &EXCHANGES)),
        54..=55 => Operation::DeclareExchange(declare_exchange(choices)),
        56 => Operation::DeleteExchange { name: name(choices.one_of(&EXCHANGES)), if_unused: choices.flag() },
        57 => choices.one_of(&[Operation::Commit, Operation::Commit, Operation::Rollback]),
        58 => choices.one_of(&[Operation::SelectTransaction, Operation::SelectConfirm]),
        _ => choices.one_of(&[Operation::CloseSession, Operation::OpenSession, Operation::Echo]),
    }
}

fn consume(choices: &mut Choices<'_>) -> Consume {
    let (queue, tag, flags) = (choices.one_of(&QUEUES), choices.one_of(&TAGS), choices.byte());
    let for_replies = flags >= 208;
    Consume {
        queue: name(if for_replies { "amq.rabbitmq.reply-to" } else { queue }),
        tag: name(tag),
        no_ack: if for_replies { flags != 255 } else { flags & 1 == 1 },
        exclusive: !for_replies && flags & 14 == 14,
        arguments: Table::default(),
        // Each client has an address of its own, which is put in when it is known who asks.
        reply_address: for_replies.then(|| name("")),
    }
}

fn declare_queue(choices: &mut Choices<'_>) -> DeclareQueue {
    let (queue, flags) = (choices.one_of(&QUEUES), choices.byte());
    DeclareQueue {
        name: name(queue),
        generated: false,
        passive: flags & 0x30 == 0x30,
        durable: flags & 1 == 0,
        exclusive: flags & 6 == 6,
        auto_delete: flags & 8 == 8,
        arguments: Table::default(),
    }
}

fn declare_exchange(choices: &mut Choices<'_>) -> DeclareExchange {
    let (exchange, kind, flags) = (choices.one_of(&EXCHANGES), choices.one_of(&KINDS), choices.byte());
    DeclareExchange {
        name: name(exchange),
        kind: name(kind),
        passive: flags & 0x30 == 0x30,
        durable: flags & 1 == 0,
        auto_delete: flags & 2 == 2,
        internal: flags & 12 == 12,
        arguments: Table::default(),
    }
}

fn binding(choices: &mut Choices<'_>, destinations: &[&str]) -> Binding {
    Binding {
        source: name(choices.one_of(&EXCHANGES)),
        destination: name(choices.one_of(destinations)),
        routing_key: name(choices.one_of(&KEYS)),
        arguments: table(choices.one_of(&ARGUMENTS)),
    }
}

type Entries = &'static [(&'static str, Cell)];

/// A value in a table.
#[derive(Clone, Copy)]
enum Cell {
    Number(i32),
    Long(i64),
    Word(&'static str),
    Void,
}

use Cell::{Long, Number, Void, Word};

const HEADERS: [Entries; 6] = [
    &[],
    &[("a", Number(1))],
    &[("a", Long(1)), ("b", Word("x"))],
    &[("a", Number(2)), ("b", Word("x"))],
    &[("x-c", Number(1))],
    &[("b", Word("x")), ("x-c", Number(1)), ("a", Word("1"))],
];

/// Two of them are the same, and the last two are refused by a headers exchange.
const ARGUMENTS: [Entries; 12] = [
    &[],
    &[("a", Number(1))],
    &[("a", Number(1)), ("b", Word("x"))],
    &[("b", Word("x")), ("a", Number(1))],
    &[("x-match", Word("any")), ("a", Number(1)), ("b", Word("x"))],
    &[("x-match", Word("any"))],
    &[("x-match", Word("any-with-x")), ("x-c", Number(1)), ("a", Number(2))],
    &[("x-match", Word("all-with-x")), ("x-c", Number(1)), ("b", Word("x"))],
    &[("x-match", Word("all")), ("x-c", Number(7)), ("a", Number(2))],
    &[("a", Void)],
    &[("x-match", Word("some"))],
    &[("x-match", Number(1))],
];

fn table(entries: Entries) -> Table {
    let value = |cell: &Cell| match *cell {
        Number(number) => Value::I32(number),
        Long(number) => Value::I64(number),
        Word(text) => Value::text(text),
        Void => Value::Void,
    };
    entries.iter().map(|(key, cell)| (name(key), value(cell))).collect()
}

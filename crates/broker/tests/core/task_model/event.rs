//! What can happen to tasks, and how bytes become events.

use broker::Outcome;
use field_table::{Table, Value};
use message_properties::Properties;

use crate::choices::Choices;
use crate::world::name;

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Enqueue { queue: Queue, options: Options, expects_reply: bool, watch: bool },
    Publish { queue: Queue, options: Options },
    Lease { queue: Queue, max: u32, wait: bool },
    Complete { lease: usize, next: Option<Queue> },
    Fail { lease: usize, retry: bool },
    Release(usize),
    Extend(usize),
    Reply { lease: usize, error: bool },
    Consume { queue: Queue, no_ack: bool },
    Get { queue: Queue, no_ack: bool },
    Settle { tag: u64, multiple: bool, outcome: Outcome },
    Recover,
    Transact(Vec<Step>, bool),
    Disconnect,
    Close,
    Cancel(usize),
    Watch(usize),
    Purge(Queue),
    Wait(u64),
    Oversleep(u64),
    Restart { from_checkpoint: bool },
}

/// What belongs into one transaction.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish(Queue, Options),
    Reply(usize),
    Settle { tag: u64, outcome: Outcome },
}

/// A task queue: `jobs`, or `small`, which takes two tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Queue {
    Jobs,
    Small,
}

impl Queue {
    pub(super) const ALL: [Self; 2] = [Self::Jobs, Self::Small];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Small => "small",
        }
    }
}

/// What a task is asked for with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) key: Option<u8>,
    pub(super) delay_ms: Option<i64>,
    pub(super) deadline_ms: Option<i64>,
    pub(super) start_within_ms: Option<u64>,
    pub(super) reply_to: Option<&'static str>,
}

impl Options {
    pub(super) fn properties(&self) -> Properties {
        let mut headers = Table::default();
        if let Some(key) = self.key {
            headers.insert(name("x-idempotency-key"), Value::text(&key.to_string()));
        }
        for (header, ms) in [("x-delay", self.delay_ms), ("x-deadline", self.deadline_ms)] {
            if let Some(ms) = ms {
                headers.insert(name(header), Value::I64(ms));
            }
        }
        Properties {
            headers: Some(headers),
            expiration: self.start_within_ms.map(|ms| name(&ms.to_string())),
            reply_to: self.reply_to.map(name),
            ..Properties::default()
        }
    }
}

const OUTCOMES: [Outcome; 3] = [Outcome::Acknowledged, Outcome::Discarded, Outcome::Requeued];
/// Around the times that the options of tasks name, and beyond all of them.
const WAITS_MS: [u64; 5] = [500, 1500, 31_000, 90_000_000, 700_000_000];

impl Event {
    /// Decodes the next event.
    pub(crate) fn decode(choices: &mut Choices<'_>) -> Self {
        let kind = choices.byte() % 52;
        let at = |choices: &mut Choices<'_>| usize::from(choices.byte());
        match kind {
            0..=5 => Self::Enqueue {
                queue: queue(choices),
                options: options(choices),
                expects_reply: choices.flag(),
                watch: choices.flag(),
            },
            6..=8 => Self::Publish { queue: queue(choices), options: options(choices) },
            9..=13 => Self::Lease {
                queue: queue(choices),
                max: u32::from(1 + choices.byte() % 3),
                wait: choices.flag(),
            },
            14..=17 => Self::Complete { lease: at(choices), next: next(choices) },
            18..=20 => Self::Fail { lease: at(choices), retry: choices.flag() },
            21..=22 => Self::Release(at(choices)),
            23 => Self::Extend(at(choices)),
            24..=27 => Self::Reply { lease: at(choices), error: choices.flag() },
            28..=30 => Self::Consume { queue: queue(choices), no_ack: choices.flag() },
            31..=32 => Self::Get { queue: queue(choices), no_ack: choices.flag() },
            33..=36 => Self::Settle {
                tag: tag(choices),
                multiple: choices.rarely(5),
                outcome: choices.one_of(&OUTCOMES),
            },
            37 => Self::Recover,
            38..=40 => {
                let steps = 1 + choices.byte() % 4;
                Self::Transact((0..steps).map(|_| step(choices)).collect(), choices.flag())
            }
            41 => Self::Disconnect,
            42 => Self::Close,
            43..=44 => Self::Cancel(at(choices)),
            45 => Self::Watch(at(choices)),
            46 => Self::Purge(queue(choices)),
            47..=49 => Self::Wait(choices.one_of(&WAITS_MS)),
            50 => Self::Oversleep(choices.one_of(&WAITS_MS)),
            _ => Self::Restart { from_checkpoint: choices.flag() },
        }
    }
}

fn queue(choices: &mut Choices<'_>) -> Queue {
    choices.one_of(&[Queue::Jobs, Queue::Jobs, Queue::Small])
}

fn next(choices: &mut Choices<'_>) -> Option<Queue> {
    choices.rarely(3).then(|| queue(choices))
}

fn tag(choices: &mut Choices<'_>) -> u64 {
    u64::from(1 + choices.byte() % 5)
}

fn options(choices: &mut Choices<'_>) -> Options {
    Options {
        key: choices.rarely(3).then(|| choices.byte() % 3),
        delay_ms: choices.rarely(5).then_some(1000),
        deadline_ms: choices.rarely(5).then_some(20_000),
        start_within_ms: choices.rarely(5).then_some(1000),
        reply_to: choices.rarely(3).then(|| choices.one_of(&["done", "small", "nowhere"])),
    }
}

fn step(choices: &mut Choices<'_>) -> Step {
    match choices.byte() % 3 {
        0 => Step::Publish(queue(choices), options(choices)),
        1 => Step::Reply(usize::from(choices.byte())),
        _ => Step::Settle { tag: tag(choices), outcome: choices.one_of(&OUTCOMES) },
    }
}

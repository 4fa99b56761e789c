//! A requester's turn: all that a request may be made of.

use broker::{Envelope, LeaseId, RequestTag, Standalone, TaskId, Until};
use field_table::{ShortString, Table, Value};
use message_properties::Properties;

use super::{Hold, Requester};
use crate::agenda::Micros;
use crate::client::name;
use crate::line::LineId;
use crate::messages::{Message, MessageId, Messages, Settled};
use crate::operations::{JOBS, SMALL};
use crate::plan::Plan;
use crate::random::Random;

/// One thing that a requester can do.
pub type Step = fn(&mut Asking<'_>);

/// A requester that asks for something.
pub struct Asking<'a> {
    /// The requester.
    pub requester: &'a mut Requester,
    /// Chance.
    pub random: &'a mut Random,
    /// All messages.
    pub messages: &'a mut Messages,
    /// The choices of the run.
    pub plan: &'a Plan,
    /// The time.
    pub now: Micros,
}

impl Asking<'_> {
    /// Puts a request on its way.
    pub fn ask(&mut self, operation: Standalone) -> RequestTag {
        RequestTag(self.requester.ask(operation, self.now))
    }

    /// A new numbered message for a queue, or for none.
    pub fn message(&mut self, queue: Option<&str>, properties: &Properties) -> (MessageId, Envelope) {
        let bytes = match self.random.percent(80) {
            true => self.random.below(60),
            false => self.random.below(self.plan.body_bytes_max),
        };
        let message = Message {
            queue: queue.map(str::to_owned),
            persistent: true,
            line: self.requester.line.unwrap_or(LineId(0)),
            channel: 0,
            confirmed: false,
            refused: false,
            settled: Settled::No,
            delivered: false,
            is_of_tasks: true,
            is_keyed: false,
        };
        let (id, body) = self.messages.publish(message, bytes as usize);
        let key = queue.unwrap_or_default().as_bytes();
        (id, Envelope::new(b"", key, &properties.to_bytes(), &body))
    }

    /// One of the task queues that are always there.
    pub fn any_queue(&mut self) -> &'static str {
        if self.random.percent(80) { JOBS } else { SMALL }
    }

    /// A task that it knows of, rather a new one.
    pub fn any_task(&mut self) -> Option<TaskId> {
        let count = self.requester.tasks.len();
        let from = if self.random.percent(60) { count.saturating_sub(5) } else { 0 };
        (count > 0).then(|| self.requester.tasks[from + self.random.index(count - from)])
    }

    /// A lease: mostly one that was not settled, else any that it ever had.
    pub fn any_lease(&mut self) -> Option<Hold> {
        let is_open = |hold: &&Hold| hold.settled_by.is_none();
        let open: Vec<Hold> = self.requester.leases.iter().filter(is_open).cloned().collect();
        if open.is_empty() || self.random.percent(15) {
            let count = self.requester.leases.len();
            return (count > 0).then(|| self.requester.leases[self.random.index(count)].clone());
        }
        Some(self.random.pick(&open).clone())
    }

    /// Settles a lease, for the first time or in the same way again, or another.
    pub fn settle(&mut self, lease: LeaseId, operation: Standalone) {
        let hold = self.requester.leases.iter_mut().find(|hold| hold.lease == lease);
        if let Some(hold) = hold {
            hold.settled_by.get_or_insert_with(|| operation.clone());
        }
        self.ask(operation);
    }

    /// Waiting requests of a kind, by their tags.
    pub fn any_waiting(&mut self, is_meant: impl Fn(&Standalone) -> bool) -> Option<RequestTag> {
        let waiting = self.requester.waiting.iter();
        let tags: Vec<u64> =
            waiting.filter(|(_, waiting)| is_meant(&waiting.operation)).map(|(tag, _)| *tag).collect();
        (!tags.is_empty()).then(|| RequestTag(*self.random.pick(&tags)))
    }
}

/// When a watch is to be answered: at once, at the next change, at the end.
pub fn any_until(random: &mut Random) -> Until {
    match random.below(3) {
        0 => Until::Now,
        1 => Until::Changed { since: random.below(4 << 20) },
        _ => Until::Ended,
    }
}

/// What a task is asked for with, so that most of it happens within a run.
#[must_use]
pub fn any_options(random: &mut Random, reply_to: Option<&str>) -> (Properties, Table) {
    let mut headers = Table::default();
    let mut set = |random: &mut Random, chance: u64, header: &str, least: u64, most: u64| {
        if random.percent(chance) {
            headers.insert(name(header), Value::I64(random.between(least, most) as i64));
        }
    };
    set(random, 25, "x-delay", 1, 500);
    set(random, 15, "x-deadline", 5, 2_000);
    set(random, 15, "x-result-ttl", 1, 200);
    set(random, 40, "x-max-attempts", 1, 3);
    let expiration = random.percent(15).then(|| random.between(1, 500).to_string());
    let correlation_id = random.percent(30).then(|| name("its-own"));
    let properties = Properties {
        delivery_mode: Some(2),
        expiration: expiration.map(|text| ShortString::from_text_cut(&text)),
        reply_to: reply_to.map(name),
        correlation_id,
        ..Properties::default()
    };
    (properties, headers)
}

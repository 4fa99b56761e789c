//! A client of single requests, as the HTTP front end has them: each stands alone, and may be repeated.

mod asking;
mod hear;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use broker::{Effect, Enqueue, Envelope, LeaseId, Standalone, TaskId};

pub use asking::{Asking, Step, any_options, any_until};

use crate::agenda::Micros;
use crate::line::LineId;
use crate::messages::MessageId;
use crate::node::Mailbox;

/// What it remembers of each kind, at most.
const MEMORY_MAX: usize = 40;

/// A requester.
#[derive(Debug)]
pub struct Requester {
    /// Its number among the requesters.
    pub number: u32,
    /// Its connection of the core; nothing while it has none.
    pub line: Option<LineId>,
    /// Where the engine leaves what it is answered.
    pub mailbox: Arc<Mailbox>,
    /// Answers on their way.
    pub inbox: VecDeque<Effect<Envelope>>,
    /// Requests on their way, by their tags.
    pub outbox: VecDeque<(u64, Standalone)>,
    /// Requests that are not answered, by their tags.
    pub waiting: BTreeMap<u64, Waiting>,
    /// Requests whose answers were lost, to be repeated.
    pub to_repeat: VecDeque<Standalone>,
    /// Requests with a key that were made before.
    pub keyed: VecDeque<Enqueue>,
    /// Tasks that it knows of.
    pub tasks: VecDeque<TaskId>,
    /// Leases that it has or had, and what it has settled each by, to settle it in the same way again.
    pub leases: VecDeque<Hold>,
    /// Watches that it has stopped.
    pub stopped: BTreeSet<u64>,
    last_tag: u64,
    last_key: u64,
}

/// A request that is not answered.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What was asked.
    pub operation: Standalone,
    /// Since when.
    pub since: Micros,
}

/// A lease.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Its name.
    pub lease: LeaseId,
    /// The task.
    pub task: TaskId,
    /// The request that settles it.
    pub settled_by: Option<Standalone>,
}

impl Requester {
    /// A requester without a connection.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            number,
            line: None,
            mailbox: Arc::default(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            waiting: BTreeMap::new(),
            to_repeat: VecDeque::new(),
            keyed: VecDeque::new(),
            tasks: VecDeque::new(),
            leases: VecDeque::new(),
            stopped: BTreeSet::new(),
            last_tag: 0,
            last_key: 0,
        }
    }

    /// A new connection.
    pub fn connect(&mut self, line: LineId) -> Arc<Mailbox> {
        self.line = Some(line);
        self.mailbox = Arc::default();
        self.mailbox.clone()
    }

    /// The connection is gone: what was not answered is repeated, if it can be.
    pub fn disconnected(&mut self) {
        self.line = None;
        self.mailbox = Arc::default();
        self.inbox.clear();
        self.outbox.clear();
        let lost = std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.operation);
        lost.filter(is_repeatable).for_each(|operation| remember(&mut self.to_repeat, operation));
    }

    /// Puts a request on its way. Its tag.
    pub fn ask(&mut self, operation: Standalone, now: Micros) -> u64 {
        self.last_tag += 1;
        self.outbox.push_back((self.last_tag, operation.clone()));
        if is_answered(&operation) {
            self.waiting.insert(self.last_tag, Waiting { operation, since: now });
        }
        self.last_tag
    }

    /// A key that it has not used.
    pub fn new_key(&mut self) -> String {
        self.last_key += 1;
        format!("r{}-{}", self.number, self.last_key)
    }

    /// Whether it waits for anything that comes whatever others do.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.outbox.is_empty() || self.waiting.values().any(|waiting| !depends_on_others(&waiting.operation))
    }

    /// Notes the message whose body has left with it as safe.
    fn settlement_of(&self, lease: LeaseId) -> Option<&Standalone> {
        self.leases.iter().find(|hold| hold.lease == lease)?.settled_by.as_ref()
    }
}

/// Keeps the latest.
pub fn remember<T>(memory: &mut VecDeque<T>, one: T) {
    if memory.len() == MEMORY_MAX {
        memory.pop_front();
    }
    memory.push_back(one);
}

/// The numbered message of an envelope.
fn message_of(envelope: &Envelope) -> Option<MessageId> {
    crate::messages::number(envelope.body())
}

/// Whether the answer comes when something else happens.
fn depends_on_others(operation: &Standalone) -> bool {
    match operation {
        Standalone::Watch { until, .. } => *until != broker::Until::Now,
        Standalone::Lease(lease) => lease.wait,
        _ => false,
    }
}

fn is_answered(operation: &Standalone) -> bool {
    !matches!(operation, Standalone::StopWatching { .. } | Standalone::StopLeasing { .. })
}

/// Whether a repetition does no harm.
fn is_repeatable(operation: &Standalone) -> bool {
    match operation {
        Standalone::Enqueue(enqueue) => enqueue.key.is_some(),
        Standalone::Publish(_) | Standalone::Lease(_) | Standalone::DeleteQueue { .. } => false,
        _ => true,
    }
}

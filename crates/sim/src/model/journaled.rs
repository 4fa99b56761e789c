//! What the entries of a journal say, read by a second, simpler reader.

use std::collections::BTreeMap;

use broker::{
    BindingDefinition, Broker, Destination, DurableView, ExchangeDefinition, Lsn, Place, QueueDefinition,
    QueueNumber, Record, TaskId, TaskState,
};
use bytes::Bytes;
use field_table::ShortString;

use crate::messages::{MessageId, number};
use crate::violation::Violation;

/// The durable state after so many entries.
#[derive(Debug)]
pub struct Journaled {
    position: u64,
    exchanges: BTreeMap<ShortString, ExchangeDefinition>,
    queues: BTreeMap<QueueNumber, JournaledQueue>,
    bindings: Vec<BindingDefinition>,
    tasks: BTreeMap<TaskId, JournaledTask>,
    /// The production code's own replay, from the first entry on: no checkpoint has ever helped it.
    replay: Broker,
}

/// A queue.
#[derive(Debug)]
pub struct JournaledQueue {
    /// As it was declared.
    pub definition: QueueDefinition,
    /// Its messages by sequence.
    pub messages: BTreeMap<u64, JournaledMessage>,
}

/// A message in a queue.
#[derive(Clone, Copy, Debug)]
pub struct JournaledMessage {
    /// Which one, if it is one of ours.
    pub id: Option<MessageId>,
    place: Place,
    stored_bytes: u32,
}

#[derive(Debug)]
struct JournaledTask {
    queue: QueueNumber,
    sequence: u64,
}

impl Default for Journaled {
    fn default() -> Self {
        Self {
            position: 0,
            exchanges: BTreeMap::new(),
            queues: BTreeMap::new(),
            bindings: Vec::new(),
            tasks: BTreeMap::new(),
            replay: Broker::new(broker::Settings::default()),
        }
    }
}

impl Journaled {
    /// How many entries it has read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&JournaledQueue> {
        self.queues.values().find(|queue| queue.definition.name.as_bytes() == name.as_bytes())
    }

    /// All queues.
    pub fn queues(&self) -> impl Iterator<Item = &JournaledQueue> {
        self.queues.values()
    }

    /// Reads the next entry.
    pub fn read(&mut self, entry: Bytes) -> Result<(), Violation> {
        self.position += 1;
        for record in Record::read_entry(Lsn(self.position), entry) {
            let record = record.map_err(|error| Violation::new("journal", error.to_string()))?;
            self.replay.apply(record.clone());
            self.take(record);
        }
        Ok(())
    }

    /// Compares with what a broker says that it has. Says what differs.
    pub fn check(&self, view: &DurableView) -> Result<(), String> {
        let is_own = |exchange: &&ExchangeDefinition| {
            !exchange.name.is_empty() && !exchange.name.as_bytes().starts_with(b"amq.")
        };
        same("exchanges", self.exchanges.values(), view.exchanges.iter().filter(is_own))?;
        same("bindings", sorted(&self.bindings).iter(), sorted(&view.bindings).iter())?;
        same("queues", self.queues.keys(), view.queues.iter().map(|queue| &queue.definition.number))?;
        for (queue, found) in self.queues.values().zip(&view.queues) {
            let name = &queue.definition.name;
            same("a definition", [&queue.definition].into_iter(), [&found.definition].into_iter())?;
            let said = queue
                .messages
                .iter()
                .map(|(sequence, message)| (*sequence, message.place, message.stored_bytes));
            let said: Vec<_> = said.collect();
            let has: Vec<_> = found.messages.iter().map(|m| (m.sequence, m.place, m.stored_bytes)).collect();
            same(&format!("messages of {name}"), said.iter(), has.iter())?;
        }
        let replayed = self.replay.durable_view();
        same("tasks", replayed.tasks.iter(), view.tasks.iter())?;
        if replayed == *view { Ok(()) } else { Err("a replay of all entries gives another state".into()) }
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Started { .. } | Record::Spilled { .. } => {}
            Record::TaskLeased(_) | Record::TaskReturned(_) => {}
            Record::ExchangeDeclared(exchange) => {
                self.exchanges.insert(exchange.name.clone(), exchange);
            }
            Record::ExchangeDeleted { name } => {
                self.exchanges.remove(&name);
                self.bindings.retain(|binding| {
                    binding.source != name && binding.destination != Destination::Exchange(name.clone())
                });
            }
            Record::QueueDeclared(definition) => {
                let queue = JournaledQueue { definition, messages: BTreeMap::new() };
                self.queues.insert(queue.definition.number, queue);
            }
            Record::QueueDeleted { queue } => {
                self.queues.remove(&queue);
                self.bindings.retain(|binding| binding.destination != Destination::Queue(queue));
                self.tasks.retain(|_, task| task.queue != queue);
            }
            Record::BindingAdded(binding) => self.bindings.push(canonical(&binding)),
            Record::BindingRemoved(binding) => {
                let removed = canonical(&binding);
                self.bindings.retain(|other| *other != removed);
            }
            Record::Published { targets, envelope, place, .. } => {
                let (id, stored_bytes) = (number(envelope.body()), envelope.stored_bytes() as u32);
                for target in targets {
                    if let Some(queue) = self.queues.get_mut(&target.queue) {
                        queue.messages.insert(target.sequence, JournaledMessage { id, place, stored_bytes });
                    }
                }
            }
            Record::Settled { queue, ranges } => {
                for (first, length) in ranges {
                    (first..first + length).for_each(|sequence| self.settle(queue, sequence));
                }
            }
            Record::Purged { queue, below, except } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.messages.retain(|sequence, _| *sequence >= below || except.contains(sequence));
                }
            }
            Record::TaskAccepted(accepted) => {
                let task = JournaledTask { queue: accepted.queue, sequence: accepted.sequence };
                self.tasks.insert(accepted.id, task);
            }
            // The message of a task that has failed stays for those who look for it.
            Record::TaskEnded(ended) if ended.state == TaskState::Failed => {}
            Record::TaskEnded(ended) => self.settle_task(ended.task),
            Record::TasksForgotten { tasks } => tasks.into_iter().for_each(|task| {
                self.settle_task(task);
                self.tasks.remove(&task);
            }),
        }
    }

    fn settle(&mut self, queue: QueueNumber, sequence: u64) {
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.messages.remove(&sequence);
        }
    }

    fn settle_task(&mut self, task: TaskId) {
        if let Some(&JournaledTask { queue, sequence }) = self.tasks.get(&task) {
            self.settle(queue, sequence);
        }
    }
}

/// Arguments in another order are the same arguments.
fn canonical(binding: &BindingDefinition) -> BindingDefinition {
    BindingDefinition { arguments: binding.arguments.canonical(), ..binding.clone() }
}

fn sorted(bindings: &[BindingDefinition]) -> Vec<String> {
    let text = |binding: &BindingDefinition| format!("{:?}", canonical(binding));
    let mut texts: Vec<String> = bindings.iter().map(text).collect();
    texts.sort_unstable();
    texts
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    said: impl Iterator<Item = T>,
    has: impl Iterator<Item = T>,
) -> Result<(), String> {
    let (said, has): (Vec<T>, Vec<T>) = (said.collect(), has.collect());
    match said == has {
        true => Ok(()),
        false => Err(format!("the journal says {what}: {said:?}; the broker has {has:?}")),
    }
}

//! What there is in a vhost, for people.

use std::collections::BTreeMap;

use field_table::ShortString;

use crate::broker::Broker;
use crate::{QueueNumber, TaskState};

/// What survives a restart, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Durable exchanges, without those that every vhost has.
    pub exchanges: u64,
    /// Bindings between things that are durable.
    pub bindings: u64,
    /// Durable queues, by name.
    pub queues: Vec<QueueCensus>,
}

/// A queue, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCensus {
    /// Its number.
    pub number: QueueNumber,
    /// Its name.
    pub name: ShortString,
    /// Messages that are ready.
    pub ready: u64,
    /// Bytes of their bodies.
    pub ready_bytes: u64,
    /// Messages that are kept back: of tasks that wait for a time, are leased, or were given up.
    pub kept_back: u64,
    /// Bytes of their bodies.
    pub kept_back_bytes: u64,
    /// Its tasks, where they are tasks.
    pub tasks: Option<TaskCensus>,
}

/// The tasks of a queue by state, in the order of [`TaskCensus::STATES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCensus(pub [u64; 7]);

impl TaskCensus {
    /// All states.
    pub const STATES: [TaskState; 7] = [
        TaskState::Scheduled,
        TaskState::Ready,
        TaskState::Running,
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::Cancelled,
        TaskState::Expired,
    ];

    fn add(&mut self, state: TaskState) {
        let counted = Self::STATES.iter().zip(&mut self.0).find(|(known, _)| **known == state);
        counted.into_iter().for_each(|(_, count)| *count += 1);
    }
}

impl Broker {
    /// Counts what survives a restart. Costs a look at every task and queue.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut tasks_by_queue: BTreeMap<QueueNumber, TaskCensus> = BTreeMap::new();
        for task in self.tasks.iter() {
            tasks_by_queue.entry(task.accepted.queue).or_default().add(task.state());
        }
        let mut queues = Vec::new();
        for (name, number) in &self.queue_names {
            let queue = &self.queues[number];
            if !queue.is_durable() {
                continue;
            }
            let tasks = tasks_by_queue.remove(number).unwrap_or_default();
            let (ready, kept_back) = (queue.strand.ready(), queue.strand.held());
            queues.push(QueueCensus {
                number: *number,
                name: name.clone(),
                ready: ready.messages,
                ready_bytes: ready.body_bytes,
                kept_back: kept_back.messages,
                kept_back_bytes: kept_back.body_bytes,
                tasks: queue.tasks.is_some().then_some(tasks),
            });
        }
        let own = self.topology.exchanges().filter(|exchange| exchange.durable);
        Census {
            exchanges: own.filter(|exchange| !exchange.name.starts_with(b"amq.")).count() as u64,
            bindings: self.topology.bindings().filter(|binding| self.is_durable_binding(binding)).count()
                as u64,
            queues,
        }
    }
}

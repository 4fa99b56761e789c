//! The state of a damaged log: replay that passes over holes, and what has to go because its bytes are gone.
//!
//! A record rests on those before it. Where some are missing, applying the rest must neither panic nor lose what is
//! whole: a queue whose declaration is gone gets a stand-in, a name that is declared anew must have been deleted
//! before.

use std::collections::BTreeMap;

use field_table::{ShortString, Table};

use crate::broker::Broker;
use crate::place::Home;
use crate::queue::Queue;
use crate::record::{BindingDefinition, Destination, QueueDefinition, Record, Target};
use crate::{Envelope, Lsn, QueueNumber, StoredMessage, TaskId};

/// What a replay over holes had to conclude by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conclusions {
    /// Queues whose declarations are missing, under the names that they have now.
    pub stand_ins: Vec<ShortString>,
    /// Queues that must have been deleted, since their names were declared anew.
    pub queues_deleted: Vec<ShortString>,
    /// Bindings from or to exchanges whose declarations are missing: left out.
    pub bindings_dropped: u64,
    /// Messages that may be missing, by queue: sequences that nobody has, at a hole. Transient messages have such ones too.
    pub missing_at_most: BTreeMap<ShortString, u64>,
    /// Holes so far.
    holes: u64,
    /// Holes at which a queue's sequences were compared.
    compared: BTreeMap<QueueNumber, u64>,
}

/// A message, or a task's result, that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostMessage {
    /// The queue that it is on.
    pub queue: ShortString,
    /// Its number.
    pub queue_number: QueueNumber,
    /// Its sequence there.
    pub sequence: u64,
    /// Where its bytes should be.
    pub stored: StoredMessage,
    /// The task that it is.
    pub task: Option<TaskId>,
    /// It is the result of a task that has ended, not its message.
    pub is_result: bool,
}

impl Conclusions {
    /// Some entries are missing here.
    pub fn hole(&mut self) {
        self.holes += 1;
    }

    /// Whether the queue's next message is the first behind a hole.
    fn is_first_since_hole(&mut self, queue: QueueNumber) -> bool {
        self.compared.insert(queue, self.holes).unwrap_or(0) < self.holes
    }
}

impl Broker {
    /// Applies a record of a journal that may have holes in front of it. For replay only, as [`Self::apply`].
    pub fn apply_over_holes(&mut self, record: Record, conclusions: &mut Conclusions) {
        match &record {
            // It must have been deleted: else it would not have been declared again.
            Record::ExchangeDeclared(definition) => self.topology.delete(&definition.name),
            Record::QueueDeclared(definition) => {
                if let Some(former) = self.queue_names.get(&definition.name).copied() {
                    conclusions.queues_deleted.push(definition.name.clone());
                    self.apply_queue_deleted(former, &mut |_| ());
                }
            }
            Record::BindingAdded(binding) if !self.stand_in_for_binding(binding, conclusions) => {
                conclusions.bindings_dropped += 1;
                return;
            }
            Record::Published { targets, envelope, .. } => {
                for target in targets {
                    self.stand_in_for_target(*target, targets.len(), envelope, conclusions);
                }
            }
            _ => {}
        }
        self.apply(record);
    }

    /// The messages and results whose bytes lie where `is_gone` says so, in the order of queues and sequences.
    #[must_use]
    pub fn find_lost(&self, is_gone: impl Fn(StoredMessage) -> bool) -> Vec<LostMessage> {
        let mut lost = Vec::new();
        for (name, number) in &self.queue_names {
            let journaled = self.queues[number].strand.sequenced();
            let gone = journaled
                .filter(|(_, slot)| matches!(slot.place.home(), Home::Entry(_)) && is_gone(slot.stored()));
            lost.extend(gone.map(|(sequence, slot)| LostMessage {
                queue: name.clone(),
                queue_number: *number,
                sequence,
                stored: slot.stored(),
                task: self.tasks.of_message(*number, sequence),
                is_result: false,
            }));
        }
        for task in self.tasks.iter() {
            let Some(result) = task.end().and_then(|end| end.result).filter(|result| is_gone(*result)) else {
                continue;
            };
            let queue = self.queues.get(&task.accepted.queue);
            lost.push(LostMessage {
                queue: queue.map(|queue| queue.definition.name.clone()).unwrap_or_default(),
                queue_number: task.accepted.queue,
                sequence: task.accepted.sequence,
                stored: result,
                task: Some(task.accepted.id),
                is_result: true,
            });
        }
        lost
    }

    /// Takes away what [`Self::find_lost`] has found. Tasks are forgotten, with their keys: whoever asks for one hears that
    /// it is not known, and may ask for it again.
    pub fn drop_lost(&mut self, lost: &[LostMessage]) {
        for message in lost {
            if let Some(task) = message.task {
                self.apply_tasks_forgotten(&[task]);
            }
            if let Some(queue) = self.queues.get_mut(&message.queue_number).filter(|_| !message.is_result) {
                queue.strand.settle(message.sequence);
            }
        }
    }

    /// The journal entries that the state needs: those with the bodies of messages and the results of tasks, ascending.
    #[must_use]
    pub fn entries_needed(&self) -> Vec<Lsn> {
        let mut needed: Vec<Lsn> = Vec::new();
        let places = self.queues.values().flat_map(|queue| queue.strand.slots().map(|slot| slot.place));
        let results = self.tasks.iter().filter_map(|task| Some(task.end()?.result?.place));
        for place in places.chain(results) {
            if let Home::Entry(lsn) = place.home()
                && needed.last() != Some(&lsn)
            {
                needed.push(lsn);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Makes sure that a binding's ends are there. False if it cannot be kept.
    fn stand_in_for_binding(&mut self, binding: &BindingDefinition, conclusions: &mut Conclusions) -> bool {
        if self.topology.exchange(&binding.source).is_none() {
            return false;
        }
        match &binding.destination {
            Destination::Exchange(name) => self.topology.exchange(name).is_some(),
            Destination::Queue(number) => {
                self.stand_in(*number, None, conclusions);
                true
            }
        }
    }

    /// Makes sure that a message's queue is there, and notes how many are missing in front of it.
    fn stand_in_for_target(
        &mut self,
        target: Target,
        targets: usize,
        envelope: &Envelope,
        conclusions: &mut Conclusions,
    ) {
        // What went to one queue by the default exchange carries the queue's name.
        let names_queue = envelope.exchange().is_empty() && targets == 1;
        let name = ShortString::try_from(envelope.routing_key()).ok().filter(|_| names_queue);
        let is_new = self.stand_in(target.queue, name, conclusions);
        let queue = &self.queues[&target.queue];
        if conclusions.is_first_since_hole(target.queue) {
            let missing = target.sequence.saturating_sub(queue.strand.next_sequence());
            if missing > 0 && !is_new {
                *conclusions.missing_at_most.entry(queue.definition.name.clone()).or_default() += missing;
            }
        }
    }

    /// True if there was no such queue.
    pub(crate) fn stand_in(
        &mut self,
        number: QueueNumber,
        name: Option<ShortString>,
        conclusions: &mut Conclusions,
    ) -> bool {
        if self.queues.contains_key(&number) {
            return false;
        }
        let free = name.filter(|name| !name.is_empty() && !self.queue_names.contains_key(name));
        let name = free.unwrap_or_else(|| {
            let mut name = format!("salvaged-{}", number.0);
            while self.queue_names.contains_key(name.as_bytes()) {
                name.push('x');
            }
            ShortString::try_from(name.as_bytes()).unwrap_or_default()
        });
        conclusions.stand_ins.push(name.clone());
        let definition =
            QueueDefinition { number, name, durable: true, auto_delete: false, arguments: Table::default() };
        self.apply_queue_declared(Queue::new(definition, None));
        true
    }
}

#[cfg(test)]
mod tests {
    use field_table::Value;

    use super::*;
    use crate::record::ExchangeDefinition;
    use crate::task::TaskAccepted;
    use crate::{Place, Timestamp};

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    fn exchange(text: &'static str) -> Record {
        Record::ExchangeDeclared(ExchangeDefinition {
            name: name(text),
            kind: name("direct"),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Table::default(),
        })
    }

    fn queue(number: u64, text: &'static str, arguments: Table) -> Record {
        let number = QueueNumber(number);
        let name = name(text);
        Record::QueueDeclared(QueueDefinition { number, name, durable: true, auto_delete: false, arguments })
    }

    fn binding(source: &'static str, queue: u64) -> Record {
        Record::BindingAdded(BindingDefinition {
            source: name(source),
            destination: Destination::Queue(QueueNumber(queue)),
            routing_key: name("key"),
            arguments: Table::default(),
        })
    }

    fn published(exchange: &[u8], key: &[u8], targets: &[(u64, u64)]) -> Record {
        let target =
            |(queue, sequence): &(u64, u64)| Target { queue: QueueNumber(*queue), sequence: *sequence };
        Record::Published {
            time: Timestamp(1),
            targets: targets.iter().map(target).collect(),
            envelope: Envelope::new(exchange, key, b"", b"body"),
            place: Place::in_entry(Lsn(5), 9),
        }
    }

    /// Replays records with a hole in front of the last `behind` of them.
    fn replay(records: Vec<Record>, behind: usize) -> (Broker, Conclusions) {
        let (mut broker, mut conclusions) = (Broker::new(crate::Settings::default()), Conclusions::default());
        let hole_at = records.len() - behind;
        for (at, record) in records.into_iter().enumerate() {
            if at == hole_at {
                conclusions.hole();
            }
            broker.apply_over_holes(record, &mut conclusions);
        }
        (broker, conclusions)
    }

    fn queues(broker: &Broker) -> Vec<(String, u64)> {
        broker.census().queues.into_iter().map(|queue| (queue.name.to_string(), queue.ready)).collect()
    }

    #[test]
    fn a_name_that_is_declared_anew_was_deleted_in_the_hole() {
        let records = vec![
            queue(1, "q", Table::default()),
            published(b"", b"q", &[(1, 0)]),
            exchange("e"),
            binding("e", 1),
            queue(2, "q", Table::default()),
            exchange("e"),
            published(b"", b"q", &[(2, 0)]),
        ];
        let (broker, conclusions) = replay(records, 3);
        assert_eq!(conclusions.queues_deleted, [name("q")]);
        assert_eq!(queues(&broker), [("q".to_owned(), 1)]);
        assert_eq!(broker.census().bindings, 0);
        assert!(conclusions.stand_ins.is_empty() && conclusions.missing_at_most.is_empty());
    }

    #[test]
    fn a_queue_without_its_declaration_gets_a_stand_in() {
        let records = vec![
            queue(1, "taken", Table::default()),
            exchange("e"),
            published(b"", b"named", &[(3, 7)]),
            published(b"", b"taken", &[(4, 0)]),
            published(b"e", b"key", &[(1, 0), (5, 0)]),
            binding("e", 6),
            binding("unknown", 1),
        ];
        let (broker, conclusions) = replay(records, 5);
        let expected = ["named", "salvaged-4", "salvaged-5", "salvaged-6"].map(name);
        assert_eq!(conclusions.stand_ins, expected);
        assert_eq!((conclusions.bindings_dropped, broker.census().bindings), (1, 1));
        let found = queues(&broker);
        let found: Vec<(&str, u64)> = found.iter().map(|(name, ready)| (&name[..], *ready)).collect();
        assert_eq!(
            found,
            [("named", 1), ("salvaged-4", 1), ("salvaged-5", 1), ("salvaged-6", 0), ("taken", 1)]
        );
    }

    #[test]
    fn sequences_that_nobody_has_are_counted_at_holes_only() {
        let at = |sequence| published(b"", b"q", &[(1, sequence)]);
        let records = vec![queue(1, "q", Table::default()), at(0), at(2), at(5), at(9)];
        let (broker, conclusions) = replay(records, 2);
        assert_eq!(conclusions.missing_at_most[&name("q")], 2);
        assert_eq!(queues(&broker), [("q".to_owned(), 4)]);
    }

    #[test]
    fn a_task_without_its_message_is_forgotten() {
        let mut arguments = Table::default();
        arguments.insert(name("x-task-queue"), Value::Bool(true));
        let id = "00000000-0000-4000-8000-00000000000a".parse().unwrap();
        let accepted = TaskAccepted {
            id,
            queue: QueueNumber(1),
            sequence: 0,
            time: Timestamp(1),
            name: name("t"),
            due_at: None,
            start_before: None,
            deadline: None,
            result_ttl_ms: None,
            max_attempts: 3,
            expects_reply: false,
            reply: None,
            key: None,
        };
        let records = vec![
            queue(1, "work", arguments),
            published(b"", b"work", &[(1, 0)]),
            Record::TaskAccepted(Box::new(accepted)),
        ];
        let (mut broker, _) = replay(records, 0);
        assert!(broker.find_lost(|_| false).is_empty());
        let lost = broker.find_lost(|stored| stored.place.home() == Home::Entry(Lsn(5)));
        let [LostMessage { task: Some(task), is_result: false, sequence: 0, .. }] = lost[..] else {
            panic!("{lost:?}")
        };
        assert_eq!(task, id);
        broker.drop_lost(&lost);
        assert_eq!(queues(&broker), [("work".to_owned(), 0)]);
        assert_eq!(broker.totals().tasks, 0);
        assert_eq!(broker.census().queues[0].tasks, Some(crate::TaskCensus::default()));
    }
}

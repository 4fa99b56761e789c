//! Queues are declared, purged and deleted.

use field_table::{ShortString, Value};

use crate::broker::{Broker, Reply, Request};
use crate::command::DeclareQueue;
use crate::effect::{Answer, Effect, Recipient};
use crate::equivalence::{argument, flag};
use crate::output::Output;
use crate::queue::Queue;
use crate::record::{Destination, QueueDefinition, Record};
use crate::reply_to::REPLY_QUEUE;
use crate::session::session_mut;
use crate::task::{LeaseId, TASK_QUEUE, TaskQueue};
use crate::{QueueNumber, Refusal, Resource, Timestamp};

const RESERVED_PREFIX: &[u8] = b"amq.";

/// The arguments that have to agree when a queue is declared again. Others are kept and not compared, as RabbitMQ
/// does with what its classic queues don't know.
const COMPARED_ARGUMENTS: [&[u8]; 14] = [
    TASK_QUEUE,
    b"x-expires",
    b"x-message-ttl",
    b"x-dead-letter-exchange",
    b"x-dead-letter-routing-key",
    b"x-max-length",
    b"x-max-length-bytes",
    b"x-max-priority",
    b"x-overflow",
    b"x-queue-mode",
    b"x-queue-version",
    b"x-queue-master-locator",
    b"x-queue-leader-locator",
    b"x-single-active-consumer",
];

/// Compared too, but none at all means the same as the classic type.
const QUEUE_TYPE: &[u8] = b"x-queue-type";

/// What a declaration leaves out, of a queue that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wording {
    /// Is the default: the declaration is the whole document.
    Whole,
    /// Is not asked for, if the queue is for tasks and the declaration does not say so: a worker that was written for RabbitMQ
    /// declares its queue as it always did, not durable and without arguments, and knows nothing of tasks.
    InPart,
}

impl Broker {
    pub(crate) fn declare_queue(
        &mut self,
        request: Request,
        declare: DeclareQueue,
        words: Wording,
        out: &mut Output,
    ) -> Reply {
        if let Some(lease) = LeaseId::of_reply_address(&declare.name) {
            return self.probe_task_reply(declare.name, lease);
        }
        if declare.name.starts_with(REPLY_QUEUE) {
            return self.probe_reply_queue(declare.name);
        }
        if !declare.passive && !declare.generated && declare.name.starts_with(RESERVED_PREFIX) {
            return Err(Refusal::ReservedName(Resource::Queue(declare.name)));
        }
        let number = match self.queue_names.get(&declare.name) {
            Some(number) => {
                self.assert_equivalent(request, &self.queues[number], &declare, words)?;
                *number
            }
            None if declare.passive => return Err(Refusal::NotFound(Resource::Queue(declare.name))),
            None => {
                check_task_queue(&declare)?;
                self.add_queue(request, declare, out)
            }
        };
        let queue = &self.queues[&number];
        Ok(Some(Answer::QueueDeclared {
            name: queue.definition.name.clone(),
            messages: queue.strand.ready().messages,
            consumers: queue.consumers.len() as u64,
        }))
    }

    pub(crate) fn purge_queue(&mut self, request: Request, name: ShortString, out: &mut Output) -> Reply {
        let number = self.usable_queue(request, &name)?;
        if self.queues[&number].tasks.is_some() {
            let messages = self.cancel_ready_tasks(request.now, number, out);
            self.counters.messages_purged += messages;
            return Ok(Some(Answer::QueuePurged { messages }));
        }
        let queue = &self.queues[&number];
        let below = queue.strand.next_sequence();
        let except = queue.strand.held_below(below);
        let durable = queue.is_durable() && (queue.strand.ready().messages > 0 || queue.halted.is_some());
        let released = &mut out.volatile.released;
        let messages = self.apply_purged(number, below, &except, &mut |place| released.push(place));
        if durable {
            out.record(&Record::Purged { queue: number, below, except });
        }
        self.counters.messages_purged += messages;
        Ok(Some(Answer::QueuePurged { messages }))
    }

    pub(crate) fn delete_queue(
        &mut self,
        request: Request,
        name: ShortString,
        if_unused: bool,
        if_empty: bool,
        out: &mut Output,
    ) -> Reply {
        let number = match self.usable_queue(request, &name) {
            Ok(number) => number,
            Err(Refusal::NotFound(_)) => return Ok(Some(Answer::QueueDeleted { messages: 0 })),
            Err(refusal) => return Err(refusal),
        };
        let queue = &self.queues[&number];
        if if_unused && (!queue.consumers.is_empty() || queue.has_pulls()) {
            return Err(Refusal::InUse(Resource::Queue(name)));
        }
        // What cannot be read may be many messages.
        let may_have_some = queue.strand.ready().messages > 0 || queue.strand.has_damage();
        if if_empty && (may_have_some || queue.has_unfinished_tasks()) {
            return Err(Refusal::NotEmpty { queue: name });
        }
        let messages = queue.strand.ready().messages;
        self.remove_queue(request.now, number, out);
        Ok(Some(Answer::QueueDeleted { messages }))
    }

    /// Takes a queue away with its messages and bindings, and tells its consumers.
    pub(crate) fn remove_queue(&mut self, now: Timestamp, number: QueueNumber, out: &mut Output) {
        self.dismiss_waiters(now, number, out);
        let Some(queue) = self.queues.get(&number) else { return };
        let durable = queue.is_durable();
        let consumers = queue.consumers.clone();
        let sources = self.topology.sources_of(&Destination::Queue(number));
        if let Some(connection) = queue.exclusive_owner.and_then(|owner| self.connections.get_mut(&owner)) {
            connection.exclusive_queues.remove(&number);
        }
        let released = &mut out.volatile.released;
        self.apply_queue_deleted(number, &mut |place| released.push(place));
        out.record_if(durable, &Record::QueueDeleted { queue: number });
        for id in consumers {
            let Some(consumer) = self.consumers.swap_remove(&id) else { continue };
            self.leave_line(id, &consumer);
            if let Some(session) = session_mut(&mut self.connections, consumer.session) {
                session.consumers.remove(&consumer.tag);
            }
            let effect = Effect::ConsumerCancelled { consumer_tag: consumer.tag };
            out.effect(Recipient::Session(consumer.session), out.position(), effect);
        }
        self.counters.queues_deleted += 1;
        self.remove_idle_exchanges(sources, out);
    }

    fn add_queue(&mut self, request: Request, declare: DeclareQueue, out: &mut Output) -> QueueNumber {
        let owner = declare.exclusive.then_some(request.session.connection);
        let definition = QueueDefinition {
            number: QueueNumber(self.next_queue),
            name: declare.name,
            durable: declare.durable && owner.is_none(),
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
        };
        let (number, durable) = (definition.number, definition.durable);
        self.apply_queue_declared(Queue::new(definition.clone(), owner));
        out.record_if(durable, &Record::QueueDeclared(definition));
        if let Some(connection) = owner.and_then(|owner| self.connections.get_mut(&owner)) {
            connection.exclusive_queues.insert(number);
        }
        self.counters.queues_created += 1;
        number
    }

    /// Clients ask for the reply pseudo-queue to learn whether direct replies are there at all, and for an address to
    /// learn whether its requester still waits. No other name may begin like these.
    fn probe_reply_queue(&self, name: ShortString) -> Reply {
        if *name != *REPLY_QUEUE && !self.replies.contains_key(&name) {
            return Err(Refusal::NotFound(Resource::Queue(name)));
        }
        Ok(Some(Answer::QueueDeclared { name, messages: 0, consumers: 1 }))
    }

    /// The same for the reply address of a task: whether its delivery is in force.
    fn probe_task_reply(&self, name: ShortString, lease: LeaseId) -> Reply {
        match self.task_held_by(lease) {
            Some(_) => Ok(Some(Answer::QueueDeclared { name, messages: 0, consumers: 1 })),
            None => Err(Refusal::NotFound(Resource::Queue(name))),
        }
    }

    fn assert_equivalent(
        &self,
        request: Request,
        queue: &Queue,
        declare: &DeclareQueue,
        words: Wording,
    ) -> Result<(), Refusal> {
        let locked = queue.is_locked_for(request.session.connection);
        if locked || (!declare.passive && declare.exclusive != queue.exclusive_owner.is_some()) {
            return Err(Refusal::Locked { queue: declare.name.clone() });
        }
        if declare.passive {
            return Ok(());
        }
        let in_part =
            words == Wording::InPart && queue.tasks.is_some() && !declare.arguments.contains_key(TASK_QUEUE);
        let is_compared = |name: &[u8]| !in_part || declare.arguments.contains_key(name);
        let resource = || Resource::Queue(declare.name.clone());
        let current = &queue.definition;
        if !in_part || declare.durable {
            flag(resource, "durable", declare.durable && !declare.exclusive, current.durable)?;
        }
        if !in_part || declare.auto_delete {
            flag(resource, "auto_delete", declare.auto_delete, current.auto_delete)?;
        }
        if is_compared(QUEUE_TYPE) {
            let classic = Value::text("classic");
            let [received, current] = [&declare.arguments, &current.arguments]
                .map(|table| table.get(QUEUE_TYPE).unwrap_or(&classic));
            argument(resource, QUEUE_TYPE, Some(received), Some(current))?;
        }
        for name in COMPARED_ARGUMENTS.into_iter().filter(|name| is_compared(name)) {
            argument(resource, name, declare.arguments.get(name), current.arguments.get(name))?;
        }
        Ok(())
    }
}

/// Tasks are promised to survive, so a queue that does not cannot keep any.
fn check_task_queue(declare: &DeclareQueue) -> Result<(), Refusal> {
    let asked = TaskQueue::from_arguments(&declare.name, &declare.arguments)?;
    if asked.is_some() && (!declare.durable || declare.exclusive) {
        return Err(Refusal::InvalidArgument {
            queue: declare.name.clone(),
            argument: ShortString::try_from(TASK_QUEUE).unwrap_or_default(),
            expected: "a task queue has to be durable and not exclusive",
        });
    }
    Ok(())
}

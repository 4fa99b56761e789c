//! Records become state: the half that live and recovery share.

use crate::broker::Broker;
use crate::message::Slot;
use crate::place::Home;
use crate::queue::Queue;
use crate::record::{Destination, Record, Target};
use crate::{Envelope, Place, QueueNumber, Timestamp};

impl Broker {
    /// Applies a record of the journal. Blind: no clock, no decision, nothing emitted.
    ///
    /// For replay only, in the order of the journal and before the first command.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Started { boot, time, clean } => self.apply_started(boot, time, clean),
            Record::ExchangeDeclared(definition) => self.topology.declare(definition),
            Record::ExchangeDeleted { name } => self.topology.delete(&name),
            Record::QueueDeclared(definition) => self.apply_queue_declared(Queue::new(definition, None)),
            Record::QueueDeleted { queue } => self.apply_queue_deleted(queue, &mut |_| ()),
            Record::BindingAdded(definition) => self.topology.bind(&definition),
            Record::BindingRemoved(definition) => self.topology.unbind(&definition),
            Record::Published { targets, envelope, place, .. } => {
                self.apply_published(&targets, &envelope, place)
            }
            Record::Settled { queue, ranges } => self.apply_settled(queue, &ranges),
            Record::Purged { queue, below, except } => {
                self.apply_purged(queue, below, &except, &mut |_| ());
            }
            Record::Spilled { .. } => {}
            Record::TaskAccepted(accepted) => self.apply_task_accepted(*accepted),
            Record::TaskLeased(leased) => self.apply_task_leased(leased),
            Record::TaskReturned(returned) => self.apply_task_returned(returned),
            Record::TaskEnded(ended) => self.apply_task_ended(*ended),
            Record::TasksForgotten { tasks } => self.apply_tasks_forgotten(&tasks),
        }
    }

    /// Counts the boots of this log; 0 before the first.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    fn apply_started(&mut self, boot: u64, now: Timestamp, clean: bool) {
        self.boot = boot;
        self.renew_leases(now);
        if !clean {
            // Deliveries are not journaled, so any message that is here may have been delivered.
            for queue in self.queues.values_mut() {
                queue.strand.mark_maybe_delivered();
            }
        }
    }

    pub(crate) fn apply_queue_declared(&mut self, queue: Queue) {
        let (name, number) = (queue.definition.name.clone(), queue.definition.number);
        self.next_queue = self.next_queue.max(number.0 + 1);
        self.queue_names.insert(name, number);
        self.tasks.queues += usize::from(queue.tasks.is_some());
        if queue.is_durable() {
            self.queue_ledger.changed(number);
        }
        self.queues.insert(number, queue);
    }

    /// Takes a queue and its bindings away. `released` gets the places of its transient messages.
    pub(crate) fn apply_queue_deleted(&mut self, number: QueueNumber, released: &mut dyn FnMut(Place)) {
        self.topology.unbind_destination(&Destination::Queue(number));
        let Some(queue) = self.queues.swap_remove(&number) else { return };
        self.queue_names.remove(&queue.definition.name);
        if queue.tasks.is_some() {
            self.tasks.queues -= 1;
            self.forget_tasks_of(number);
        }
        if queue.is_durable() {
            self.queue_ledger.gone(number);
            self.pages_gone.extend(queue.strand.stored().map(|first| (number, first)));
        }
        queue.strand.maybe_volatile().for_each(|slot| release_volatile(&slot, released));
    }

    /// Drops ready messages. How many; `released` gets the places of the transient ones.
    pub(crate) fn apply_purged(
        &mut self,
        number: QueueNumber,
        below: u64,
        except: &[u64],
        released: &mut dyn FnMut(Place),
    ) -> u64 {
        let Some(queue) = self.queues.get_mut(&number) else { return 0 };
        let count = queue.strand.purge(below, except, &mut |slot| release_volatile(slot, released));
        // What could not be read has gone with it.
        if queue.strand.ready().messages == 0 && !queue.strand.has_damage() {
            queue.halted = None;
        }
        count
    }

    fn apply_published(&mut self, targets: &[Target], envelope: &Envelope, place: Place) {
        let slot = Slot {
            place,
            header_bytes: envelope.stored_header_bytes() as u32,
            body_bytes: envelope.body().len() as u32,
        };
        for target in targets {
            if let Some(queue) = self.queues.get_mut(&target.queue) {
                queue.enqueue(target.sequence, slot);
            }
        }
    }

    fn apply_settled(&mut self, number: QueueNumber, ranges: &[(u64, u64)]) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        for (first, length) in ranges {
            for sequence in *first..first.saturating_add(*length).min(queue.strand.next_sequence()) {
                queue.strand.settle(sequence);
            }
        }
    }
}

fn release_volatile(slot: &Slot, released: &mut dyn FnMut(Place)) {
    if let Home::Volatile(_) = slot.place.home() {
        released(slot.place);
    }
}

//! What must, may and must not be in the queues: the model that the broker is held against.

use std::collections::{BTreeMap, HashMap};

use super::body::MessageId;
use super::breach::{Breach, must};

/// One queue, as the workload knows it. Knows nothing of sockets.
#[derive(Debug)]
pub(super) struct QueueLedger {
    name: &'static str,
    /// Counts the starts of the broker.
    boot: u32,
    /// Every message that may be in the queue. What is not here must not come.
    messages: BTreeMap<MessageId, Entry>,
    /// The last message of each publisher that each consumer saw for the first time, in this boot.
    fresh: HashMap<(ConsumerId, u32), u64>,
}

/// Names a consumer; never used twice.
pub(super) type ConsumerId = u64;

#[derive(Clone, Debug, Default)]
struct Entry {
    confirmed: bool,
    /// The boot in which it was last delivered, and to whom, until that consumer gives it back.
    delivered: Option<u32>,
    held_by: Option<ConsumerId>,
    settled: Settled,
}

/// How far an ack has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Settled {
    #[default]
    No,
    /// Sent in this boot; a crash may undo it.
    Sent { boot: u32 },
    /// A later publish of the same channel was confirmed: the message must not come back.
    Durably,
}

impl QueueLedger {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, boot: 0, messages: BTreeMap::new(), fresh: HashMap::new() }
    }

    /// A message is about to be sent: from now on it may be there.
    pub(super) fn on_publish(&mut self, id: MessageId) {
        self.messages.insert(id, Entry::default());
    }

    /// The broker answered for a message: from now on it must be there until it is acknowledged.
    pub(super) fn on_confirm(&mut self, id: MessageId) {
        if let Some(entry) = self.messages.get_mut(&id) {
            entry.confirmed = true;
        }
    }

    /// A consumer got a message.
    pub(super) fn on_delivery(
        &mut self,
        id: MessageId,
        consumer: ConsumerId,
        redelivered: bool,
    ) -> Result<(), Breach> {
        let (name, boot) = (self.name, self.boot);
        let Some(entry) = self.messages.get_mut(&id) else {
            return Err(Breach(format!(
                "{name}: {id} was delivered, but it cannot be in the queue any more"
            )));
        };
        must!(entry.settled != Settled::Durably, "{name}: {id} came back after a durable ack");
        must!(entry.settled != Settled::Sent { boot }, "{name}: {id} was delivered after its ack");
        if let Some(holder) = entry.held_by {
            return Err(Breach(format!(
                "{name}: {id} was delivered to {consumer} while {holder} holds it (P4)"
            )));
        }
        let again = entry.delivered == Some(boot);
        must!(redelivered || !again, "{name}: {id} was delivered again without the redelivered flag");
        entry.delivered = Some(boot);
        entry.held_by = Some(consumer);
        if !redelivered {
            let last = self.fresh.insert((consumer, id.publisher), id.number).unwrap_or(0);
            must!(last < id.number, "{name}: {id} was first delivered after message {last} (P5)");
        }
        Ok(())
    }

    /// A consumer is about to acknowledge a message.
    pub(super) fn on_ack(&mut self, id: MessageId) {
        let boot = self.boot;
        self.change(id, |entry| {
            entry.settled = Settled::Sent { boot };
            entry.held_by = None;
        });
    }

    /// The ack of a message is known to be durable.
    pub(super) fn on_ack_durable(&mut self, id: MessageId) {
        self.change(id, |entry| entry.settled = Settled::Durably);
    }

    /// A consumer is about to give a message back.
    pub(super) fn on_release(&mut self, id: MessageId) {
        self.change(id, |entry| entry.held_by = None);
    }

    /// The broker was started again and every message of the queue was looked at: `found`, in order.
    ///
    /// From now on exactly these may be there, and each of them must.
    pub(super) fn reconcile(&mut self, found: &[MessageId]) -> Result<(), Breach> {
        let name = self.name;
        let mut last: HashMap<u32, u64> = HashMap::new();
        for &id in found {
            let Some(entry) = self.messages.get_mut(&id) else {
                return Err(Breach(format!(
                    "{name}: {id} is there after the restart; it was never sent here or was gone before"
                )));
            };
            must!(
                entry.settled != Settled::Durably,
                "{name}: {id} came back though a publish confirmed later on its channel makes its ack durable"
            );
            let before = last.insert(id.publisher, id.number).unwrap_or(0);
            must!(before != id.number, "{name}: {id} is there twice");
            must!(before < id.number, "{name}: {id} stands behind message {before} (P5)");
            *entry = Entry { confirmed: entry.confirmed, delivered: Some(u32::MAX), ..Entry::default() };
        }
        self.boot += 1;
        self.fresh.clear();
        self.drop_absent()
    }

    /// Forgets what was not found: from now on it must never come. Confirmed messages may be missing only if acked.
    fn drop_absent(&mut self) -> Result<(), Breach> {
        let mut lost = Vec::new();
        self.messages.retain(|&id, entry| {
            let found = entry.delivered == Some(u32::MAX);
            if !found && entry.confirmed && entry.settled == Settled::No {
                lost.push(id);
            }
            entry.confirmed = true;
            entry.delivered = None;
            found
        });
        let name = self.name;
        let Some(first) = lost.first() else { return Ok(()) };
        Err(Breach(format!("{name}: {} confirmed messages are lost (P1, P2), first {first}", lost.len())))
    }

    fn change(&mut self, id: MessageId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.messages.get_mut(&id) {
            change(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MessageId {
        MessageId { publisher: 1, number }
    }

    /// A queue to which messages 1 to 4 were sent, of which 1 to 3 were confirmed.
    fn ledger() -> QueueLedger {
        let mut ledger = QueueLedger::new("q");
        (1..=4).for_each(|number| ledger.on_publish(id(number)));
        (1..=3).for_each(|number| ledger.on_confirm(id(number)));
        ledger
    }

    fn check_restart(found: &[u64], breach: Option<&str>) {
        check_restart_of(ledger(), found, breach);
    }

    fn check_restart_of(mut ledger: QueueLedger, found: &[u64], breach: Option<&str>) {
        let found: Vec<_> = found.iter().copied().map(id).collect();
        match (ledger.reconcile(&found), breach) {
            (Ok(()), None) => {}
            (Err(Breach(text)), Some(part)) => assert!(text.contains(part), "{text}"),
            (outcome, _) => panic!("{found:?}: {outcome:?}"),
        }
    }

    #[test]
    fn unconfirmed_messages_may_be_there_or_not() {
        check_restart(&[1, 2, 3], None);
        check_restart(&[1, 2, 3, 4], None);
    }

    #[test]
    fn a_lost_doubled_swapped_or_invented_message_is_a_breach() {
        check_restart(&[1, 3], Some("1 confirmed messages are lost"));
        check_restart(&[], Some("3 confirmed messages are lost"));
        check_restart(&[1, 2, 2, 3], Some("there twice"));
        check_restart(&[2, 1, 3], Some("stands behind"));
        check_restart(&[1, 2, 3, 5], Some("never sent"));
    }

    #[test]
    fn an_acked_message_may_come_back_unless_the_ack_was_durable() {
        let mut acked = ledger();
        acked.on_delivery(id(1), 9, false).unwrap();
        acked.on_ack(id(1));
        check_restart_of(acked, &[1, 2, 3], None);

        let mut acked = ledger();
        acked.on_ack(id(1));
        check_restart_of(acked, &[2, 3], None);

        let mut acked = ledger();
        acked.on_ack(id(1));
        acked.on_ack_durable(id(1));
        check_restart_of(acked, &[1, 2, 3], Some("came back"));
    }

    #[test]
    fn what_a_restart_showed_holds_for_the_next_one() {
        let mut twice = ledger();
        twice.reconcile(&[id(1), id(2), id(3)]).unwrap();
        check_restart_of(twice, &[1, 2, 3, 4], Some("gone before"));

        let mut twice = ledger();
        twice.reconcile(&[id(1), id(2), id(3), id(4)]).unwrap();
        check_restart_of(twice, &[1, 2, 3], Some("lost"));
    }

    #[test]
    fn deliveries_are_held_by_one_in_order_and_flagged_when_repeated() {
        let mut ledger = ledger();
        ledger.on_delivery(id(2), 9, false).unwrap();
        assert!(ledger.on_delivery(id(2), 8, true).unwrap_err().0.contains("P4"));
        assert!(ledger.on_delivery(id(1), 9, false).unwrap_err().0.contains("P5"));
        ledger.on_release(id(2));
        assert!(ledger.clone_for_test().on_delivery(id(2), 8, false).unwrap_err().0.contains("flag"));
        ledger.on_delivery(id(2), 8, true).unwrap();
        ledger.on_ack(id(2));
        assert!(ledger.on_delivery(id(2), 9, true).unwrap_err().0.contains("after its ack"));
    }

    impl QueueLedger {
        fn clone_for_test(&self) -> Self {
            let Self { name, boot, messages, fresh } = self;
            Self { name, boot: *boot, messages: messages.clone(), fresh: fresh.clone() }
        }
    }
}

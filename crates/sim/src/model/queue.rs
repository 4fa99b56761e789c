//! One queue that one client has to itself: everything about it can be predicted.

use crate::messages::MessageId;

/// A durable queue, and the one channel that uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueModel {
    exists: bool,
    messages: Vec<Slot>,
    /// Deliveries of messages whose queue was deleted.
    orphans: Vec<u64>,
    last_tag: u64,
    is_transactional: bool,
    collected: Vec<Collected>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    id: MessageId,
    persistent: bool,
    delivered: bool,
    held: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Collected {
    Publish(MessageId, bool),
    Settle(Vec<u64>, Ending),
}

/// What becomes of settled deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// They are done with.
    Removed,
    /// They return to their places.
    Requeued,
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens the channel, in place of one that is gone.
    Open {
        /// And makes it transactional.
        transactional: bool,
    },
    /// Declares the queue, or asks for its ready messages.
    Declare,
    /// Deletes the queue.
    Delete,
    /// Drops its ready messages.
    Purge,
    /// Publishes to it.
    Publish(MessageId, bool),
    /// Takes the first ready message.
    Get {
        /// And settles it at once.
        no_ack: bool,
    },
    /// Settles deliveries.
    Settle {
        /// The last of them.
        tag: u64,
        /// And all before it.
        multiple: bool,
        /// How.
        ending: Ending,
    },
    /// Returns all unsettled deliveries.
    Recover,
    /// Does what was collected.
    Commit,
    /// Forgets what was collected.
    Rollback,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done, and concerned so many ready messages.
    Count(u64),
    /// A message.
    Got {
        /// Which one.
        id: MessageId,
        /// Its tag.
        tag: u64,
        /// It was delivered before.
        redelivered: bool,
        /// Ready messages left.
        remaining: u64,
    },
    /// There is no ready message.
    Empty,
}

impl QueueModel {
    /// Does an operation; what has to be answered.
    pub fn apply(&mut self, operation: &Operation) -> Answer {
        match *operation {
            Operation::Open { transactional } => {
                self.close();
                (self.last_tag, self.is_transactional) = (0, transactional);
            }
            Operation::Declare => {
                self.exists = true;
                return Answer::Count(self.ready());
            }
            Operation::Delete => {
                let ready = self.ready();
                self.exists = false;
                self.orphans.extend(self.messages.drain(..).filter_map(|slot| slot.held));
                return Answer::Count(ready);
            }
            Operation::Purge => {
                let ready = self.ready();
                self.messages.retain(|slot| slot.held.is_some());
                return Answer::Count(ready);
            }
            Operation::Publish(id, persistent) if self.is_transactional => {
                self.collected.push(Collected::Publish(id, persistent));
            }
            Operation::Publish(id, persistent) => self.publish(id, persistent),
            Operation::Get { no_ack } => return self.get(no_ack),
            Operation::Settle { tag, multiple, ending } => {
                let is_meant = |open: &u64| if multiple { *open <= tag } else { *open == tag };
                let tags: Vec<u64> = self.open_tags().into_iter().filter(is_meant).collect();
                match self.is_transactional {
                    true => self.collected.push(Collected::Settle(tags, ending)),
                    false => self.settle(&tags, ending),
                }
            }
            Operation::Recover => {
                let tags = self.open_tags();
                self.settle(&tags, Ending::Requeued);
            }
            Operation::Commit => self.commit(),
            Operation::Rollback => self.collected.clear(),
        }
        Answer::Done
    }

    /// The deliveries that can still be settled, in order.
    #[must_use]
    pub fn open_tags(&self) -> Vec<u64> {
        let is_collected = |tag: &u64| {
            self.collected.iter().any(|one| matches!(one, Collected::Settle(tags, _) if tags.contains(tag)))
        };
        let held = self.messages.iter().filter_map(|slot| slot.held).chain(self.orphans.iter().copied());
        let mut open: Vec<u64> = held.filter(|tag| !is_collected(tag)).collect();
        open.sort_unstable();
        open
    }

    /// Whether the queue is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// Its messages, ready or held, in order.
    pub fn messages(&self) -> impl Iterator<Item = MessageId> {
        self.messages.iter().map(|slot| slot.id)
    }

    /// The channel is gone.
    pub fn close(&mut self) {
        self.collected.clear();
        self.orphans.clear();
        self.messages.iter_mut().for_each(|slot| slot.held = None);
    }

    /// The broker is gone, and comes back. After an end that was not in peace every message may have been delivered.
    pub fn restart(&mut self, clean: bool) {
        self.close();
        self.messages.retain(|slot| slot.persistent);
        self.messages.iter_mut().for_each(|slot| slot.delivered |= !clean);
    }

    fn ready(&self) -> u64 {
        self.messages.iter().filter(|slot| slot.held.is_none()).count() as u64
    }

    fn publish(&mut self, id: MessageId, persistent: bool) {
        if self.exists {
            self.messages.push(Slot { id, persistent, delivered: false, held: None });
        }
    }

    fn get(&mut self, no_ack: bool) -> Answer {
        let Some(at) = self.messages.iter().position(|slot| slot.held.is_none()) else {
            return Answer::Empty;
        };
        self.last_tag += 1;
        let (tag, slot) = (self.last_tag, &mut self.messages[at]);
        let (id, redelivered) = (slot.id, std::mem::replace(&mut slot.delivered, true));
        match no_ack {
            true => drop(self.messages.remove(at)),
            false => slot.held = Some(tag),
        }
        Answer::Got { id, tag, redelivered, remaining: self.ready() }
    }

    fn settle(&mut self, tags: &[u64], ending: Ending) {
        self.orphans.retain(|tag| !tags.contains(tag));
        let is_meant = |slot: &Slot| slot.held.is_some_and(|tag| tags.contains(&tag));
        match ending {
            Ending::Removed => self.messages.retain(|slot| !is_meant(slot)),
            Ending::Requeued => {
                self.messages.iter_mut().filter(|slot| is_meant(slot)).for_each(|slot| slot.held = None);
            }
        }
    }

    fn commit(&mut self) {
        let collected = std::mem::take(&mut self.collected);
        for one in &collected {
            if let Collected::Publish(id, persistent) = one {
                self.publish(*id, *persistent);
            }
        }
        for one in &collected {
            if let Collected::Settle(tags, ending) = one {
                self.settle(tags, *ending);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(id: u64, tag: u64, redelivered: bool, remaining: u64) -> Answer {
        Answer::Got { id: MessageId(id), tag, redelivered, remaining }
    }

    #[test]
    fn a_requeued_message_returns_to_its_place() {
        let mut queue = QueueModel::default();
        queue.apply(&Operation::Declare);
        for id in 1..=3 {
            queue.apply(&Operation::Publish(MessageId(id), true));
        }
        let get = Operation::Get { no_ack: false };
        assert_eq!(queue.apply(&get), got(1, 1, false, 2));
        assert_eq!(queue.apply(&get), got(2, 2, false, 1));
        queue.apply(&Operation::Settle { tag: 1, multiple: false, ending: Ending::Requeued });
        assert_eq!(queue.apply(&get), got(1, 3, true, 1));
        assert_eq!(queue.open_tags(), [2, 3]);
        queue.restart(false);
        assert_eq!(queue.apply(&Operation::Open { transactional: true }), Answer::Done);
        assert_eq!(queue.apply(&get), got(1, 1, true, 2));
    }

    #[test]
    fn a_transaction_waits_for_its_commit() {
        let mut queue = QueueModel::default();
        queue.apply(&Operation::Open { transactional: true });
        queue.apply(&Operation::Declare);
        queue.apply(&Operation::Publish(MessageId(1), false));
        assert_eq!(queue.apply(&Operation::Declare), Answer::Count(0));
        queue.apply(&Operation::Commit);
        assert_eq!(queue.apply(&Operation::Get { no_ack: false }), got(1, 1, false, 0));
        queue.apply(&Operation::Settle { tag: 1, multiple: true, ending: Ending::Removed });
        queue.apply(&Operation::Rollback);
        assert_eq!(queue.open_tags(), [1]);
        assert_eq!(queue.messages().count(), 1);
    }
}

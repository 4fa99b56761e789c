//! Resolved facts: what the journal keeps and replay applies.
//!
//! A record says what *became* true, never what was asked for, so that applying it needs no clock, no look-up
//! of cold state and no decision. `docs/journal-format.md` draws the entry around it; the record's own form is
//! given at each variant. Integers are LEB128 varints unless said otherwise; `bytes` is a varint length
//! and as many bytes; a table is in the field-table encoding with its four bytes of length.

mod codec;

use bytes::Bytes;
use field_table::{ShortString, Table};

use crate::task::{TaskAccepted, TaskEnded, TaskId, TaskLeased, TaskReturned};
use crate::{Envelope, Lsn, QueueNumber, Timestamp};

pub use codec::{BrokenRecord, RecordReader};

/// One durable change.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// `1 boot:u64 time:u64 clean:u8`. The log was taken over by a new boot.
    Started {
        /// Counts the boots of this log.
        boot: u64,
        /// When.
        time: Timestamp,
        /// The boot before ended with everything written down, so that nothing is in doubt.
        clean: bool,
    },
    /// `2 name:bytes kind:bytes flags:u8 arguments:table`. Flags: 1 auto-delete, 2 internal.
    ExchangeDeclared(ExchangeDefinition),
    /// `3 name:bytes`. The exchange and all bindings on both sides of it are gone.
    ExchangeDeleted {
        /// Its name.
        name: ShortString,
    },
    /// `4 number name:bytes flags:u8 arguments:table`. Flags: 1 auto-delete.
    QueueDeclared(QueueDefinition),
    /// `5 number`. The queue, its messages and its bindings are gone.
    QueueDeleted {
        /// Its number.
        queue: QueueNumber,
    },
    /// `6 binding`, with binding = `source:bytes, destination-kind:u8 (0 queue, 1 exchange), destination
    /// (number or name), key:bytes, arguments:table`.
    BindingAdded(BindingDefinition),
    /// `7 binding`.
    BindingRemoved(BindingDefinition),
    /// `8 time:u64 count (queue level:u8 sequence)* envelope:bytes`. One message entered queues. Its place is
    /// where the envelope's bytes begin, not their length.
    Published {
        /// When it was accepted.
        time: Timestamp,
        /// The queues that took it and the sequence that it got in each.
        targets: Vec<Target>,
        /// The message.
        envelope: Envelope,
        /// Entry and offset of the envelope.
        place: crate::Place,
    },
    /// `9 queue level:u8 count (first, length)*`. Messages are done with.
    Settled {
        /// The queue.
        queue: QueueNumber,
        /// Ascending ranges: first sequence and how many.
        ranges: Vec<(u64, u64)>,
    },
    /// `10 queue level:u8 below count sequence*`. All messages below a sequence are gone, but for the listed.
    Purged {
        /// The queue.
        queue: QueueNumber,
        /// The first sequence that stays.
        below: u64,
        /// Held messages below it that stay.
        except: Vec<u64>,
    },
    /// `11 block:u64 bytes`. A block of transient envelopes left memory. Means nothing to a later boot.
    Spilled {
        /// The block's number.
        block: u64,
        /// Its bytes.
        bytes: Bytes,
    },
    /// `12` and what [`TaskAccepted`] says. Behind the `Published` record of the task's message, in the same entry.
    TaskAccepted(Box<TaskAccepted>),
    /// `13` and what [`TaskLeased`] says.
    TaskLeased(TaskLeased),
    /// `14` and what [`TaskReturned`] says.
    TaskReturned(TaskReturned),
    /// `15` and what [`TaskEnded`] says. Unless it failed, the task's message is settled with it.
    TaskEnded(Box<TaskEnded>),
    /// `16 count id:16*`. Ended tasks are kept no longer; the messages of those that failed are settled.
    TasksForgotten {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
}

/// A queue that takes a message and the sequence it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The queue.
    pub queue: QueueNumber,
    /// The message's sequence in it.
    pub sequence: u64,
}

/// An exchange as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeDefinition {
    /// Its name.
    pub name: ShortString,
    /// Its type's name.
    pub kind: ShortString,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Fed by exchanges only.
    pub internal: bool,
    /// Further arguments.
    pub arguments: Table,
}

/// A queue as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDefinition {
    /// Its number.
    pub number: QueueNumber,
    /// Its name.
    pub name: ShortString,
    /// Survives a restart. Exclusive queues never do.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Further arguments.
    pub arguments: Table,
}

/// A binding as it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingDefinition {
    /// The exchange that messages come from.
    pub source: ShortString,
    /// Where they go.
    pub destination: Destination,
    /// The binding key.
    pub routing_key: ShortString,
    /// Arguments.
    pub arguments: Table,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// To a queue.
    Queue(QueueNumber),
    /// To an exchange.
    Exchange(ShortString),
}

impl Record {
    /// Appends the encoded record to `entry`.
    ///
    /// `Published`, `Spilled` and `TaskEnded` are written by `write_published`, `write_spilled` and
    /// `write_task_ended`, which borrow the message instead of owning it; this is for all others.
    pub fn write(&self, entry: &mut impl bytes::BufMut) {
        codec::write(self, entry);
    }

    /// Reads the records of one journal entry.
    #[must_use]
    pub fn read_entry(lsn: Lsn, entry: Bytes) -> RecordReader {
        RecordReader::new(lsn, entry)
    }
}

pub use codec::write_spilled;
pub(crate) use codec::{
    read_binding, read_exchange, read_queue, write_binding, write_exchange, write_published, write_queue,
    write_settled, write_task_ended,
};

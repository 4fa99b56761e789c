//! The broker's core: a deterministic state machine.
//!
//! No I/O, no clock, no threads, no async, no randomness, no hash-map iteration order. What happens comes in as
//! a [`Command`], what must survive goes out as a record, what the world should do as an [`Effect`].
//!
//! [`Broker`] is the machine; `operations/` has one file for each thing that can happen to it, `routing/` finds the
//! queues for a message, `message/` keeps the messages of a queue, `table/` what is mostly on disk, `record` and `seal` are what survives.

mod apply;
mod broker;
mod census;
mod cold;
mod command;
mod consumer;
mod counts;
mod effect;
mod envelope;
mod equivalence;
mod halt;
mod identity;
mod ledger;
mod message;
mod number_map;
mod operations;
mod output;
mod place;
mod queue;
mod record;
mod refusal;
mod reply_to;
mod room;
mod routing;
mod salvage;
mod seal;
mod session;
mod standalone;
mod standing;
mod table;
mod task;
mod transaction;
mod unacked;
mod upcoming;
mod varint;
mod view;

pub use broker::{Broker, Handled, Settings};
pub use census::{Census, QueueCensus, TaskCensus};
pub use cold::{Found, Want};
pub use command::{Binding, Command, Consume, DeclareExchange, DeclareQueue, Operation, Outcome, Publish};
pub use counts::{Counters, Totals};
pub use effect::{Addressed, Answer, Effect, Recipient, ReplyHead, StoredMessage};
pub use envelope::{BrokenEnvelope, Envelope};
pub use halt::Undeliverable;
pub use identity::{ConnectionId, QueueNumber, RequestTag, SessionId, Timestamp};
pub use number_map::NumberMap;
pub use operations::CRASHES_MAX;
pub use output::{HeldBack, OpenEntry, Output, Volatile};
pub use place::{Home, Lsn, Place};
pub use record::{
    BindingDefinition, BrokenRecord, Destination, ExchangeDefinition, QueueDefinition, Record, RecordReader,
    Target, write_spilled,
};
pub use refusal::{Described, Refusal, Resource};
pub use reply_to::{REPLY_QUEUE, is_reply_address};
pub use room::Room;
pub use salvage::{Conclusions, LostMessage};
pub use seal::{BodyInRow, BodyOwner, BrokenRow, Row, Sealed, bodies_in_row, describe_rows, entries_in_row};
pub use standalone::{Complete, Enqueue, Fail, IdempotencyKey, Lease, Standalone, Until};
pub use standing::{Holding, Standing};
pub use table::{LeftRows, Lookup, Rest, Table, TableKind, Window, is_read_by_point};
pub use task::{
    BrokenId, Grant, LeaseId, QueueReport, Seed, SettledBy, Settlement, SettlementKind, TaskAccepted,
    TaskDelivery, TaskEnded, TaskId, TaskKey, TaskLeased, TaskReturned, TaskState, TaskView,
};
pub use view::{DurableView, MessageView, QueueView, TableRows};

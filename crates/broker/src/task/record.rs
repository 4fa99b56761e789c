//! What the journal keeps of tasks.

use bytes::{BufMut, BytesMut};
use field_table::ShortString;

use super::life::SettlementKind;
use super::{LeaseId, TaskId, TaskState};
use crate::effect::ReplyHead;
use crate::varint::{self, Cursor};
use crate::{Envelope, Lsn, Place, QueueNumber, StoredMessage, Timestamp};

/// A message that entered a task queue became a task. Never changes.
///
/// `id:16 queue sequence time name:bytes due? start-before? deadline? result-ttl? max-attempts flags:u8 [reply] [key]`, with
/// `x?` = 0 for none, else the value and 1. Flags: 1 somebody expects a reply, 2 a reply follows, 4 a key follows.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAccepted {
    /// Its id.
    pub id: TaskId,
    /// The queue that it is on.
    pub queue: QueueNumber,
    /// The sequence of its message there.
    pub sequence: u64,
    /// When it was accepted.
    pub time: Timestamp,
    /// Its name.
    pub name: ShortString,
    /// Not before.
    pub due_at: Option<Timestamp>,
    /// Expires if it was not started by then.
    pub start_before: Option<Timestamp>,
    /// Expires if it is not done by then.
    pub deadline: Option<Timestamp>,
    /// How long its result is kept, if that was said.
    pub result_ttl_ms: Option<u64>,
    /// Given up after so many failed attempts.
    pub max_attempts: u32,
    /// Somebody waits for a reply: an ack alone does not end it at once.
    pub expects_reply: bool,
    /// Where its reply goes beside, and under which correlation id: `address:bytes has-id:u8 [id:bytes]`.
    pub reply: Option<Box<ReplyHead>>,
    /// Under what a repeated request is known.
    pub key: Option<Box<TaskKey>>,
}

/// The idempotency key of a request: `user:bytes key:bytes fingerprint:32 until count id:16*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskKey {
    /// Whose key it is.
    pub user: ShortString,
    /// What the client chose.
    pub key: ShortString,
    /// What was asked for; zeros where nothing is compared.
    pub fingerprint: [u8; 32],
    /// Until when it is known.
    pub until: Timestamp,
    /// All tasks of the request.
    pub tasks: Vec<TaskId>,
}

/// A worker got a task by lease: `id:16 lease:16 epoch time lease-ms worker:bytes`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskLeased {
    /// The task.
    pub task: TaskId,
    /// The lease.
    pub lease: LeaseId,
    /// Of this delivery.
    pub epoch: u64,
    /// When.
    pub time: Timestamp,
    /// For how long, if it is not extended.
    pub lease_ms: u64,
    /// Who has it.
    pub worker: ShortString,
}

/// A task went back: `id:16 attempts crashes releases due? settlement`, with `settlement` = `kind:u8 [lease:16]`, kind 0 for none.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskReturned {
    /// The task.
    pub task: TaskId,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Crashes so far.
    pub crashes: u32,
    /// Releases so far.
    pub releases: u32,
    /// Not before.
    pub due_at: Option<Timestamp>,
    /// Who has settled it, if anybody.
    pub settled: Option<SettledBy>,
}

/// A task ended: `id:16 state:u8 time attempts crashes epoch status kept-until settlement count published* has-result:u8
/// [envelope:bytes]`, with `published` = 16 bytes, zeros for a message that is no task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEnded {
    /// The task.
    pub task: TaskId,
    /// How.
    pub state: TaskState,
    /// When.
    pub time: Timestamp,
    /// Failed attempts.
    pub attempts: u32,
    /// Crashes.
    pub crashes: u32,
    /// Of the last delivery.
    pub epoch: u64,
    /// What it stands for over HTTP.
    pub status: u16,
    /// Until when it is kept.
    pub kept_until: Timestamp,
    /// Who has settled it, if anybody.
    pub settled: Option<SettledBy>,
    /// What was published with it.
    pub published: Vec<Option<TaskId>>,
    /// Where its result lies.
    pub result: Option<StoredMessage>,
}

/// A settlement that its holder may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledBy {
    /// The lease.
    pub lease: LeaseId,
    /// How it was settled.
    pub kind: SettlementKind,
}

impl TaskAccepted {
    const EXPECTS_REPLY: u8 = 1;
    const HAS_REPLY: u8 = 2;
    const HAS_KEY: u8 = 4;

    pub(crate) fn write(&self, out: &mut impl BufMut) {
        out.put_slice(&self.id.to_bytes());
        varint::write(out, self.queue.0);
        varint::write(out, self.sequence);
        varint::write(out, self.time.0);
        varint::write_bytes(out, &self.name);
        for time in [self.due_at, self.start_before, self.deadline] {
            varint::write_optional(out, time.map(|time| time.0));
        }
        varint::write_optional(out, self.result_ttl_ms);
        varint::write(out, u64::from(self.max_attempts));
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        out.put_u8(
            flag(self.expects_reply, Self::EXPECTS_REPLY)
                | flag(self.reply.is_some(), Self::HAS_REPLY)
                | flag(self.key.is_some(), Self::HAS_KEY),
        );
        if let Some(reply) = &self.reply {
            varint::write_bytes(out, &reply.address);
            out.put_u8(u8::from(reply.correlation_id.is_some()));
            reply.correlation_id.iter().for_each(|id| varint::write_bytes(out, id));
        }
        if let Some(key) = &self.key {
            key.write(out);
        }
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Option<Self> {
        let (id, queue, sequence) =
            (TaskId::from_bytes(cursor.array()?), QueueNumber(cursor.count()?), cursor.count()?);
        let (time, name) = (Timestamp(cursor.varint()?), cursor.name()?);
        let mut time_or_none = || Some(cursor.optional()?.map(Timestamp));
        let (due_at, start_before, deadline) = (time_or_none()?, time_or_none()?, time_or_none()?);
        let (result_ttl_ms, max_attempts) = (cursor.optional()?, cursor.u32()?);
        let flags = cursor.u8()?;
        let reply = match flags & Self::HAS_REPLY {
            0 => None,
            _ => Some(Box::new(ReplyHead {
                address: cursor.name()?,
                correlation_id: if cursor.u8()? == 0 { None } else { Some(cursor.name()?) },
            })),
        };
        let key = if flags & Self::HAS_KEY == 0 { None } else { Some(Box::new(TaskKey::read(cursor)?)) };
        let expects_reply = flags & Self::EXPECTS_REPLY != 0;
        Some(Self {
            id,
            queue,
            sequence,
            time,
            name,
            due_at,
            start_before,
            deadline,
            result_ttl_ms,
            max_attempts,
            expects_reply,
            reply,
            key,
        })
    }
}

impl TaskKey {
    fn write(&self, out: &mut impl BufMut) {
        varint::write_bytes(out, &self.user);
        varint::write_bytes(out, &self.key);
        out.put_slice(&self.fingerprint);
        varint::write(out, self.until.0);
        write_ids(out, self.tasks.iter().copied());
    }

    fn read(cursor: &mut Cursor) -> Option<Self> {
        let (user, key) = (cursor.name()?, cursor.name()?);
        let fingerprint = cursor.array()?;
        let until = Timestamp(cursor.varint()?);
        Some(Self { user, key, fingerprint, until, tasks: read_ids(cursor)? })
    }
}

impl TaskLeased {
    pub(crate) fn write(&self, out: &mut impl BufMut) {
        out.put_slice(&self.task.to_bytes());
        out.put_slice(&self.lease.to_bytes());
        varint::write(out, self.epoch);
        varint::write(out, self.time.0);
        varint::write(out, self.lease_ms);
        varint::write_bytes(out, &self.worker);
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Option<Self> {
        Some(Self {
            task: TaskId::from_bytes(cursor.array()?),
            lease: LeaseId::from_bytes(cursor.array()?),
            epoch: cursor.count()?,
            time: Timestamp(cursor.varint()?),
            lease_ms: cursor.varint()?,
            worker: cursor.name()?,
        })
    }
}

impl TaskReturned {
    pub(crate) fn write(&self, out: &mut impl BufMut) {
        out.put_slice(&self.task.to_bytes());
        for count in [self.attempts, self.crashes, self.releases] {
            varint::write(out, u64::from(count));
        }
        varint::write_optional(out, self.due_at.map(|time| time.0));
        SettledBy::write(self.settled, out);
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Option<Self> {
        Some(Self {
            task: TaskId::from_bytes(cursor.array()?),
            attempts: cursor.u32()?,
            crashes: cursor.u32()?,
            releases: cursor.u32()?,
            due_at: cursor.optional()?.map(Timestamp),
            settled: SettledBy::read(cursor)?,
        })
    }
}

impl TaskEnded {
    /// Appends all but the result, which the caller writes behind it: see [`write_result`].
    pub(crate) fn write_head(&self, out: &mut impl BufMut) {
        out.put_slice(&self.task.to_bytes());
        out.put_u8(state_number(self.state));
        varint::write(out, self.time.0);
        varint::write(out, u64::from(self.attempts));
        varint::write(out, u64::from(self.crashes));
        varint::write(out, self.epoch);
        varint::write(out, u64::from(self.status));
        varint::write(out, self.kept_until.0);
        SettledBy::write(self.settled, out);
        write_ids(out, self.published.iter().map(|id| id.unwrap_or(TaskId::NONE)));
    }

    fn read_head(cursor: &mut Cursor) -> Option<Self> {
        Some(Self {
            task: TaskId::from_bytes(cursor.array()?),
            state: state_of_number(cursor.u8()?)?,
            time: Timestamp(cursor.varint()?),
            attempts: cursor.u32()?,
            crashes: cursor.u32()?,
            epoch: cursor.count()?,
            status: u16::try_from(cursor.varint()?).ok()?,
            kept_until: Timestamp(cursor.varint()?),
            settled: SettledBy::read(cursor)?,
            published: read_ids(cursor)?
                .into_iter()
                .map(|id| Some(id).filter(|id| *id != TaskId::NONE))
                .collect(),
            result: None,
        })
    }

    pub(crate) fn read(lsn: Lsn, cursor: &mut Cursor) -> Option<Self> {
        let mut ended = Self::read_head(cursor)?;
        if cursor.u8()? != 0 {
            let length = usize::try_from(cursor.varint()?).ok()?;
            let place = Place::in_entry(lsn, u32::try_from(cursor.position()).ok()?);
            Envelope::from_stored(cursor.take(length)?).ok()?;
            ended.result = Some(StoredMessage { place, stored_bytes: u32::try_from(length).ok()? });
        }
        Some(ended)
    }

    /// Appends the row of an ended task: the head, and where the result lies.
    pub(crate) fn write_row(&self, out: &mut impl BufMut) {
        self.write_head(out);
        let place =
            self.result.map(|result| (result.place.durable_at(), result.place.offset, result.stored_bytes));
        out.put_u8(u8::from(place.is_some()));
        if let Some((lsn, offset, stored_bytes)) = place {
            varint::write(out, lsn.0);
            varint::write(out, u64::from(offset));
            varint::write(out, u64::from(stored_bytes));
        }
    }

    pub(crate) fn read_row(cursor: &mut Cursor) -> Option<Self> {
        let mut ended = Self::read_head(cursor)?;
        if cursor.u8()? != 0 {
            let place = Place::in_entry(Lsn(cursor.count()?), cursor.u32()?);
            ended.result = Some(StoredMessage { place, stored_bytes: cursor.u32()? });
        }
        Some(ended)
    }
}

impl SettledBy {
    fn write(settled: Option<Self>, out: &mut impl BufMut) {
        let Some(Self { lease, kind }) = settled else {
            out.put_u8(0);
            return;
        };
        out.put_u8(match kind {
            SettlementKind::Complete => 1,
            SettlementKind::Fail => 2,
            SettlementKind::Release => 3,
        });
        out.put_slice(&lease.to_bytes());
    }

    fn read(cursor: &mut Cursor) -> Option<Option<Self>> {
        let kind = match cursor.u8()? {
            0 => return Some(None),
            1 => SettlementKind::Complete,
            2 => SettlementKind::Fail,
            3 => SettlementKind::Release,
            _ => return None,
        };
        Some(Some(Self { lease: LeaseId::from_bytes(cursor.array()?), kind }))
    }
}

/// Appends a result behind the head of its record, and says where in `entry` it begins and how long it is.
pub(crate) fn write_result(entry: &mut BytesMut, result: Option<&Envelope>) -> Option<(u32, u32)> {
    entry.put_u8(u8::from(result.is_some()));
    let envelope = result?;
    varint::write(entry, envelope.stored_bytes() as u64);
    let offset = u32::try_from(entry.len()).expect("an entry is below 4 GiB");
    envelope.write_stored(entry);
    Some((offset, envelope.stored_bytes() as u32))
}

pub(crate) fn write_ids(out: &mut impl BufMut, ids: impl ExactSizeIterator<Item = TaskId>) {
    varint::write(out, ids.len() as u64);
    ids.for_each(|id| out.put_slice(&id.to_bytes()));
}

pub(crate) fn read_ids(cursor: &mut Cursor) -> Option<Vec<TaskId>> {
    cursor.list(|cursor| Some(TaskId::from_bytes(cursor.array()?)))
}

fn state_number(state: TaskState) -> u8 {
    match state {
        TaskState::Succeeded => 1,
        TaskState::Failed => 2,
        TaskState::Cancelled => 3,
        TaskState::Expired => 4,
        TaskState::Scheduled | TaskState::Ready | TaskState::Running => unreachable!("not an end"),
    }
}

fn state_of_number(number: u8) -> Option<TaskState> {
    Some(match number {
        1 => TaskState::Succeeded,
        2 => TaskState::Failed,
        3 => TaskState::Cancelled,
        4 => TaskState::Expired,
        _ => return None,
    })
}

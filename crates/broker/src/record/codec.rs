//! Records to bytes and back.

use bytes::{BufMut, Bytes, BytesMut};
use field_table::{ShortString, Table};

use super::{BindingDefinition, Destination, ExchangeDefinition, QueueDefinition, Record, Target};
use crate::routing::ExchangeKind;
use crate::task::{TaskAccepted, TaskEnded, TaskLeased, TaskReturned, read_ids, write_ids, write_result};
use crate::varint::{self, Cursor};
use crate::{Envelope, Lsn, Place, QueueNumber, Timestamp};

const STARTED: u8 = 1;
const EXCHANGE_DECLARED: u8 = 2;
const EXCHANGE_DELETED: u8 = 3;
const QUEUE_DECLARED: u8 = 4;
const QUEUE_DELETED: u8 = 5;
const BINDING_ADDED: u8 = 6;
const BINDING_REMOVED: u8 = 7;
const PUBLISHED: u8 = 8;
const SETTLED: u8 = 9;
const PURGED: u8 = 10;
const SPILLED: u8 = 11;
const TASK_ACCEPTED: u8 = 12;
const TASK_LEASED: u8 = 13;
const TASK_RETURNED: u8 = 14;
const TASK_ENDED: u8 = 15;
const TASKS_FORGOTTEN: u8 = 16;

/// The only priority level that exists so far; its byte is in the format from the start.
const LEVEL: u8 = 0;

/// A journal entry that this version can't read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {}: {problem} at offset {offset}", lsn.0)]
pub struct BrokenRecord {
    /// The entry.
    pub lsn: Lsn,
    /// Where in the entry the record begins.
    pub offset: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// The records of one entry, in order.
#[derive(Debug)]
pub struct RecordReader {
    lsn: Lsn,
    cursor: Cursor,
}

impl RecordReader {
    pub(super) fn new(lsn: Lsn, entry: Bytes) -> Self {
        Self { lsn, cursor: Cursor::new(entry) }
    }

    fn read(&mut self) -> Option<Record> {
        let cursor = &mut self.cursor;
        Some(match cursor.u8()? {
            STARTED => {
                let (boot, time) = (cursor.count()?, Timestamp(cursor.varint()?));
                Record::Started { boot, time, clean: cursor.u8()? != 0 }
            }
            EXCHANGE_DECLARED => Record::ExchangeDeclared(read_exchange(cursor)?),
            EXCHANGE_DELETED => Record::ExchangeDeleted { name: cursor.name()? },
            QUEUE_DECLARED => Record::QueueDeclared(read_queue(cursor)?),
            QUEUE_DELETED => Record::QueueDeleted { queue: QueueNumber(cursor.count()?) },
            BINDING_ADDED => Record::BindingAdded(read_binding(cursor)?),
            BINDING_REMOVED => Record::BindingRemoved(read_binding(cursor)?),
            PUBLISHED => read_published(self.lsn, cursor)?,
            SETTLED => {
                let queue = QueueNumber(cursor.count()?);
                read_level(cursor)?;
                Record::Settled {
                    queue,
                    ranges: cursor.list(|cursor| Some((cursor.count()?, cursor.count()?)))?,
                }
            }
            PURGED => {
                let queue = QueueNumber(cursor.count()?);
                read_level(cursor)?;
                Record::Purged { queue, below: cursor.count()?, except: cursor.list(Cursor::count)? }
            }
            SPILLED => Record::Spilled { block: cursor.varint()?, bytes: cursor.bytes()? },
            TASK_ACCEPTED => Record::TaskAccepted(Box::new(TaskAccepted::read(cursor)?)),
            TASK_LEASED => Record::TaskLeased(TaskLeased::read(cursor)?),
            TASK_RETURNED => Record::TaskReturned(TaskReturned::read(cursor)?),
            TASK_ENDED => Record::TaskEnded(Box::new(TaskEnded::read(self.lsn, cursor)?)),
            TASKS_FORGOTTEN => Record::TasksForgotten { tasks: read_ids(cursor)? },
            _ => return None,
        })
    }
}

impl Iterator for RecordReader {
    type Item = Result<Record, BrokenRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let offset = self.cursor.position();
        let record = self.read().ok_or(BrokenRecord {
            lsn: self.lsn,
            offset,
            problem: "a record that is cut short, malformed or of a kind that this version does not know",
        });
        if record.is_err() {
            self.cursor.finish();
        }
        Some(record)
    }
}

pub(super) fn write(record: &Record, out: &mut impl BufMut) {
    match record {
        Record::Started { boot, time, clean } => {
            out.put_u8(STARTED);
            varint::write(out, *boot);
            varint::write(out, time.0);
            out.put_u8(u8::from(*clean));
        }
        Record::ExchangeDeclared(definition) => {
            out.put_u8(EXCHANGE_DECLARED);
            write_exchange(definition, out);
        }
        Record::ExchangeDeleted { name } => {
            out.put_u8(EXCHANGE_DELETED);
            varint::write_bytes(out, name.as_bytes());
        }
        Record::QueueDeclared(definition) => {
            out.put_u8(QUEUE_DECLARED);
            write_queue(definition, out);
        }
        Record::QueueDeleted { queue } => {
            out.put_u8(QUEUE_DELETED);
            varint::write(out, queue.0);
        }
        Record::BindingAdded(definition) => {
            out.put_u8(BINDING_ADDED);
            write_binding(definition, out);
        }
        Record::BindingRemoved(definition) => {
            out.put_u8(BINDING_REMOVED);
            write_binding(definition, out);
        }
        Record::Settled { queue, ranges } => write_settled(out, *queue, ranges),
        Record::Purged { queue, below, except } => {
            write_head(out, PURGED, *queue);
            varint::write(out, *below);
            varint::write(out, except.len() as u64);
            except.iter().for_each(|sequence| varint::write(out, *sequence));
        }
        Record::TaskAccepted(accepted) => {
            out.put_u8(TASK_ACCEPTED);
            accepted.write(out);
        }
        Record::TaskLeased(leased) => {
            out.put_u8(TASK_LEASED);
            leased.write(out);
        }
        Record::TaskReturned(returned) => {
            out.put_u8(TASK_RETURNED);
            returned.write(out);
        }
        Record::TasksForgotten { tasks } => {
            out.put_u8(TASKS_FORGOTTEN);
            write_ids(out, tasks.iter().copied());
        }
        Record::Published { .. } | Record::Spilled { .. } | Record::TaskEnded(_) => {
            unreachable!("written by functions of their own")
        }
    }
}

/// Appends a `Settled` record.
pub(crate) fn write_settled(out: &mut impl BufMut, queue: QueueNumber, ranges: &[(u64, u64)]) {
    write_head(out, SETTLED, queue);
    varint::write(out, ranges.len() as u64);
    for (first, length) in ranges {
        varint::write(out, *first);
        varint::write(out, *length);
    }
}

/// Appends a `TaskEnded` record with the task's result, and says where in `entry` the result begins and how long it is.
pub(crate) fn write_task_ended(
    entry: &mut BytesMut,
    ended: &TaskEnded,
    result: Option<&Envelope>,
) -> Option<(u32, u32)> {
    entry.put_u8(TASK_ENDED);
    ended.write_head(entry);
    write_result(entry, result)
}

/// Appends a `Published` record and says where in `entry` the stored envelope begins.
pub(crate) fn write_published(
    entry: &mut BytesMut,
    time: Timestamp,
    targets: impl ExactSizeIterator<Item = Target>,
    envelope: &Envelope,
) -> u32 {
    entry.put_u8(PUBLISHED);
    varint::write(entry, time.0);
    varint::write(entry, targets.len() as u64);
    for target in targets {
        varint::write(entry, target.queue.0);
        entry.put_u8(LEVEL);
        varint::write(entry, target.sequence);
    }
    varint::write(entry, envelope.stored_bytes() as u64);
    let offset = u32::try_from(entry.len()).expect("an entry is below 4 GiB");
    envelope.write_stored(entry);
    offset
}

/// Appends a `Spilled` record and says where in `entry` the block begins: an envelope at offset `n` of the block lies
/// at that offset plus `n` of the entry.
pub fn write_spilled(entry: &mut BytesMut, block: u64, bytes: &[u8]) -> u32 {
    entry.put_u8(SPILLED);
    varint::write(entry, block);
    varint::write(entry, bytes.len() as u64);
    let offset = u32::try_from(entry.len()).expect("an entry is below 4 GiB");
    entry.put_slice(bytes);
    offset
}

pub(crate) fn write_exchange(definition: &ExchangeDefinition, out: &mut impl BufMut) {
    varint::write_bytes(out, definition.name.as_bytes());
    varint::write_bytes(out, definition.kind.as_bytes());
    out.put_u8(u8::from(definition.auto_delete) | u8::from(definition.internal) << 1);
    varint::write_table(out, &definition.arguments);
}

pub(crate) fn read_exchange(cursor: &mut Cursor) -> Option<ExchangeDefinition> {
    let (name, kind, flags) = (cursor.name()?, cursor.name()?, cursor.u8()?);
    ExchangeKind::named(&kind)?;
    let arguments = cursor.table()?;
    let (auto_delete, internal) = (flags & 1 != 0, flags & 2 != 0);
    Some(ExchangeDefinition { name, kind, durable: true, auto_delete, internal, arguments })
}

pub(crate) fn write_queue(definition: &QueueDefinition, out: &mut impl BufMut) {
    varint::write(out, definition.number.0);
    varint::write_bytes(out, definition.name.as_bytes());
    out.put_u8(u8::from(definition.auto_delete));
    varint::write_table(out, &definition.arguments);
}

pub(crate) fn read_queue(cursor: &mut Cursor) -> Option<QueueDefinition> {
    let (number, name, flags) = (QueueNumber(cursor.count()?), cursor.name()?, cursor.u8()?);
    let arguments: Table = cursor.table()?;
    Some(QueueDefinition { number, name, durable: true, auto_delete: flags & 1 != 0, arguments })
}

pub(crate) fn write_binding(definition: &BindingDefinition, out: &mut impl BufMut) {
    varint::write_bytes(out, definition.source.as_bytes());
    match &definition.destination {
        Destination::Queue(number) => {
            out.put_u8(0);
            varint::write(out, number.0);
        }
        Destination::Exchange(name) => {
            out.put_u8(1);
            varint::write_bytes(out, name.as_bytes());
        }
    }
    varint::write_bytes(out, definition.routing_key.as_bytes());
    varint::write_table(out, &definition.arguments);
}

pub(crate) fn read_binding(cursor: &mut Cursor) -> Option<BindingDefinition> {
    let source = cursor.name()?;
    let destination = match cursor.u8()? {
        0 => Destination::Queue(QueueNumber(cursor.count()?)),
        1 => Destination::Exchange(cursor.name()?),
        _ => return None,
    };
    let routing_key: ShortString = cursor.name()?;
    Some(BindingDefinition { source, destination, routing_key, arguments: cursor.table()? })
}

fn read_published(lsn: Lsn, cursor: &mut Cursor) -> Option<Record> {
    let time = Timestamp(cursor.varint()?);
    let targets = cursor.list(|cursor| {
        let queue = QueueNumber(cursor.count()?);
        read_level(cursor)?;
        Some(Target { queue, sequence: cursor.count()? })
    })?;
    let length = usize::try_from(cursor.varint()?).ok()?;
    let place = Place::in_entry(lsn, u32::try_from(cursor.position()).ok()?);
    let envelope = Envelope::from_stored(cursor.take(length)?).ok()?;
    Some(Record::Published { time, targets, envelope, place })
}

fn write_head(out: &mut impl BufMut, kind: u8, queue: QueueNumber) {
    out.put_u8(kind);
    varint::write(out, queue.0);
    out.put_u8(LEVEL);
}

fn read_level(cursor: &mut Cursor) -> Option<()> {
    (cursor.u8()? == LEVEL).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_record_is_read_back_with_the_place_that_the_writer_was_told() {
        for body_bytes in [0, 10, 200, 70_000] {
            let envelope = Envelope::new(b"x", b"key", b"props", &vec![7; body_bytes]);
            let targets = vec![Target { queue: QueueNumber(300), sequence: 9 }];
            let mut entry = BytesMut::new();
            entry.put_slice(&[PURGED, 1, LEVEL, 4, 1, 2]);
            let offset = write_published(&mut entry, Timestamp(77), targets.iter().copied(), &envelope);
            let records: Vec<Record> =
                RecordReader::new(Lsn(5), entry.freeze()).collect::<Result<_, _>>().unwrap();
            assert_eq!(records[0], Record::Purged { queue: QueueNumber(1), below: 4, except: vec![2] });
            let place = Place::in_entry(Lsn(5), offset);
            assert_eq!(records[1], Record::Published { time: Timestamp(77), targets, envelope, place });
            assert_eq!(records.len(), 2);
        }
    }
}

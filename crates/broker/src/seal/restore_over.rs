//! Rows that are laid over a state that was put together from an old journal: what a checkpoint still says of it is true, and
//! what it has lost may be in there.

use bytes::Bytes;
use field_table::ShortString;

use super::restore::{page_key, split_u64};
use super::{BINDING, DEFINITIONS, EXCHANGE, LEVEL, PAGES, QUEUE, QUEUES, TASKS, page_row};
use crate::broker::Broker;
use crate::queue::Queue;
use crate::record::{BindingDefinition, read_exchange, read_queue, write_binding};
use crate::salvage::Conclusions;
use crate::varint::Cursor;
use crate::{QueueNumber, TableKind, TaskId};

impl Broker {
    /// Puts a row in the place of what is there. With `is_old` a newer row of the key may be lost: then what is there and goes
    /// further stays. A queue without a declaration gets a stand-in. False if nothing came of the row.
    pub fn restore_over(
        &mut self,
        key: &[u8],
        value: Bytes,
        is_old: bool,
        conclusions: &mut Conclusions,
    ) -> bool {
        let (boot, next_queue) = (self.boot, self.next_queue);
        let is_put = self.put_over(key, &value, is_old, conclusions);
        let is_put = is_put.unwrap_or_else(|| self.restore(key, value).is_ok());
        self.boot = self.boot.max(boot);
        self.next_queue = self.next_queue.max(next_queue);
        is_put
    }

    /// Takes away what no row speaks of, unless `may_stay` says by its key that its row may be lost.
    pub fn keep_rows(&mut self, may_stay: impl Fn(&[u8]) -> bool) {
        let key = |table: u8, kind: &[u8], name: &[u8]| [&[table], kind, name].concat();
        let exchanges: Vec<ShortString> =
            self.topology.exchanges().map(|exchange| exchange.name.clone()).collect();
        for name in exchanges.iter().filter(|name| !name.starts_with(b"amq.")) {
            if !may_stay(&key(DEFINITIONS, &[EXCHANGE], name.as_bytes())) {
                self.topology.delete(name);
            }
        }
        let bindings: Vec<BindingDefinition> = self.topology.bindings().collect();
        for binding in bindings {
            let mut encoded = Vec::new();
            write_binding(&binding, &mut encoded);
            if !may_stay(&key(DEFINITIONS, &[BINDING], &encoded)) {
                self.topology.unbind(&binding);
            }
        }
        let queues: Vec<QueueNumber> = self.queues.keys().copied().collect();
        for number in queues {
            if !may_stay(&key(DEFINITIONS, &[QUEUE], &number.0.to_be_bytes())) {
                self.apply_queue_deleted(number, &mut |_| ());
            }
        }
        for (number, queue) in &mut self.queues {
            queue.strand.keep_pages(|first| may_stay(&page_key(*number, first)));
        }
        self.tables.iter_mut().for_each(|table| table.retain(&may_stay));
        let tasks: Vec<TaskId> = self.tasks.iter().map(|task| task.accepted.id).collect();
        for id in tasks {
            if !may_stay(&key(TASKS, &[], &id.to_bytes())) {
                self.drop_task(id);
            }
        }
    }

    /// `None` for what is put back as into a fresh broker.
    fn put_over(
        &mut self,
        key: &[u8],
        value: &Bytes,
        is_old: bool,
        conclusions: &mut Conclusions,
    ) -> Option<bool> {
        let (table, rest) = key.split_first()?;
        match (*table, rest.first().copied()?) {
            (DEFINITIONS, EXCHANGE) => {
                let definition = read_exchange(&mut Cursor::new(value.clone()))?;
                let there = self.topology.exchange(&rest[1..]).map(|exchange| &exchange.definition);
                match there {
                    Some(there) if *there == definition => return Some(true),
                    Some(_) => self.topology.delete(&definition.name),
                    None => {}
                }
                None
            }
            (DEFINITIONS, QUEUE) => Some(self.put_queue_over(value)),
            (PAGES, _) => {
                let (number, rest) = split_u64(rest)?;
                let (first, _) = split_u64(rest.strip_prefix(&[LEVEL])?)?;
                self.stand_in(QueueNumber(number), None, conclusions);
                let page = page_row::read(&mut Cursor::new(value.clone()));
                let strand = &mut self.queues.get_mut(&QueueNumber(number))?.strand;
                Some(page.map(|page| strand.replace(first, page, is_old)).is_some())
            }
            (QUEUES, _) => {
                self.stand_in(QueueNumber(split_u64(rest)?.0), None, conclusions);
                None
            }
            (TASKS, _) => {
                let id = TaskId::from_bytes(rest.try_into().ok()?);
                if is_old && self.tasks.get(id).is_some_and(|task| task.end().is_some()) {
                    return Some(true);
                }
                self.drop_task(id);
                None
            }
            _ => {
                let table = self.tables.get_mut(TableKind::of(key)?);
                if !is_old || !table.is_changed(rest) {
                    table.put(rest, value);
                }
                Some(true)
            }
        }
    }

    fn put_queue_over(&mut self, value: &Bytes) -> bool {
        let Some(definition) = read_queue(&mut Cursor::new(value.clone())) else { return false };
        if let Some(former) = self.queue_names.get(&definition.name).copied()
            && former != definition.number
        {
            self.apply_queue_deleted(former, &mut |_| ());
        }
        let queue = Queue::new(definition, None);
        let Some(known) = self.queues.get_mut(&queue.definition.number) else {
            self.apply_queue_declared(queue);
            return true;
        };
        self.queue_names.remove(&known.definition.name);
        self.queue_names.insert(queue.definition.name.clone(), queue.definition.number);
        if known.tasks.is_some() != queue.tasks.is_some() {
            self.tasks.queues =
                self.tasks.queues + usize::from(queue.tasks.is_some()) - usize::from(known.tasks.is_some());
            known.tasks = queue.tasks;
        }
        known.definition = queue.definition;
        true
    }

    /// Takes a task away, and leaves its message.
    fn drop_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        let Some(queue) = self.queues.get_mut(&task.accepted.queue) else { return };
        if let Some(task_queue) = &mut queue.tasks {
            task_queue.counts.remove(task.state());
        }
        queue.strand.unhold(task.accepted.sequence);
    }
}

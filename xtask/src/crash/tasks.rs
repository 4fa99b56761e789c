//! Tasks: each accepted one has its effect once, whatever dies in between (P6).

use std::collections::{BTreeMap, HashSet};

use super::breach::{Breach, must};

/// What is known of all tasks. The effect of a task is a message that says its number. Knows nothing of sockets.
#[derive(Debug, Default)]
pub(super) struct TaskLedger {
    tasks: BTreeMap<u64, Entry>,
    /// Sent in an earlier round and not answered: to be sent again, under the same key.
    to_repeat: Vec<u64>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The id that the broker gave it, once it has answered.
    id: Option<String>,
    /// The commit with its effect was answered.
    done: bool,
}

impl TaskLedger {
    /// The number of the task to send next: a new one, or one that was sent and not answered.
    pub(super) fn next(&mut self) -> u64 {
        if let Some(number) = self.to_repeat.pop() {
            return number;
        }
        let number = self.tasks.last_key_value().map_or(1, |(last, _)| last + 1);
        self.tasks.insert(number, Entry::default());
        number
    }

    /// The task that still has to be sent again, if there is one.
    pub(super) fn next_repeated(&mut self) -> Option<u64> {
        self.to_repeat.pop()
    }

    /// The broker accepted a task, now or before.
    pub(super) fn on_accepted(&mut self, number: u64, id: &str) -> Result<(), Breach> {
        let entry = self.entry(number)?;
        if let Some(before) = &entry.id {
            must!(before == id, "task {number} is {id} now and was {before} under the same key");
        }
        entry.id = Some(id.to_owned());
        Ok(())
    }

    /// A worker got a task.
    pub(super) fn on_delivery(&mut self, number: u64, id: &str) -> Result<(), Breach> {
        let entry = self.entry(number)?;
        must!(!entry.done, "task {number} was delivered after its end was committed");
        if let Some(accepted) = &entry.id {
            must!(accepted == id, "task {number} was delivered as {id} and accepted as {accepted}");
        }
        Ok(())
    }

    /// The broker answered the commit that ends a task.
    pub(super) fn on_done(&mut self, number: u64) -> Result<(), Breach> {
        self.entry(number)?.done = true;
        Ok(())
    }

    /// The broker was started again; `found` are the effects that are there.
    pub(super) fn reconcile(&mut self, found: &[u64]) -> Result<(), Breach> {
        let mut seen = HashSet::new();
        for &number in found {
            self.entry(number)?;
            must!(seen.insert(number), "the effect of task {number} is there twice (P6)");
        }
        let lost = self.tasks.iter().find(|(number, entry)| entry.done && !seen.contains(number));
        must!(lost.is_none(), "the effect of a committed task is lost (P1, P6): {lost:?}");
        let is_open = |(_, entry): &(&u64, &Entry)| entry.id.is_none();
        self.to_repeat = self.tasks.iter().filter(is_open).map(|(number, _)| *number).collect();
        Ok(())
    }

    /// All was sent again and worked off; `found` are the effects that are there: one for each task.
    pub(super) fn finish(&mut self, found: &[u64]) -> Result<usize, Breach> {
        self.reconcile(found)?;
        let found: HashSet<u64> = found.iter().copied().collect();
        let lost = self.tasks.keys().find(|number| !found.contains(number));
        must!(lost.is_none(), "task {lost:?} was accepted and has no effect (P2)");
        Ok(found.len())
    }

    fn entry(&mut self, number: u64) -> Result<&mut Entry, Breach> {
        self.tasks
            .get_mut(&number)
            .ok_or_else(|| Breach(format!("there is a task {number} that nobody sent")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks 1 to 4 were sent, 1 to 3 accepted, and 1 and 2 done.
    fn ledger() -> TaskLedger {
        let mut ledger = TaskLedger::default();
        assert_eq!([(); 4].map(|()| ledger.next()), [1, 2, 3, 4]);
        (1..=3).for_each(|number| ledger.on_accepted(number, &format!("id-{number}")).unwrap());
        (1..=2).for_each(|number| ledger.on_done(number).unwrap());
        ledger
    }

    fn check(outcome: Result<(), Breach>, breach: Option<&str>) {
        match (&outcome, breach) {
            (Ok(()), None) => {}
            (Err(Breach(text)), Some(part)) => assert!(text.contains(part), "{text}"),
            _ => panic!("{outcome:?} instead of {breach:?}"),
        }
    }

    #[test]
    fn effects_of_unanswered_commits_may_be_there_or_not() {
        check(ledger().reconcile(&[1, 2]), None);
        check(ledger().reconcile(&[4, 2, 1, 3]), None);
        check(ledger().reconcile(&[1]), Some("lost"));
        check(ledger().reconcile(&[1, 2, 2]), Some("twice"));
        check(ledger().reconcile(&[1, 2, 5]), Some("nobody sent"));
    }

    #[test]
    fn a_task_keeps_its_id_and_its_end() {
        check(ledger().on_accepted(1, "id-1"), None);
        check(ledger().on_accepted(1, "id-9"), Some("same key"));
        check(ledger().on_delivery(3, "id-3"), None);
        check(ledger().on_delivery(3, "id-9"), Some("delivered as id-9"));
        check(ledger().on_delivery(1, "id-1"), Some("after its end"));
    }

    #[test]
    fn what_was_not_answered_is_sent_again_and_all_have_effects_in_the_end() {
        let mut ledger = ledger();
        ledger.reconcile(&[1, 2]).unwrap();
        assert_eq!((ledger.next(), ledger.next()), (4, 5));
        assert_eq!(ledger.finish(&[5, 4, 3, 2, 1]), Ok(5));
        check(ledger.finish(&[1, 2, 4, 5]).map(|_| ()), Some("no effect"));
    }
}

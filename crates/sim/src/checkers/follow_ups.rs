//! P6: what follows from a task enters its queues together with the end of the task, once, or not at all.

use std::collections::BTreeMap;

use broker::{Answer, Command, Complete, Effect, Envelope, LeaseId, Operation, SettlementKind, Standalone};
use message_properties::PropertiesView;

use crate::line::LineId;
use crate::messages::{MessageId, Messages, number};
use crate::model::JournaledTasks;
use crate::violation::Violation;

/// What was to happen together.
#[derive(Debug, Default)]
pub(super) struct FollowUps {
    /// By lease: the ways in which its holder wanted to complete it.
    completions: BTreeMap<LeaseId, Vec<Group>>,
    /// Transactions that tasks have a part in.
    transactions: Vec<Transaction>,
    /// What sessions with transactions have collected.
    open: BTreeMap<(LineId, u16), Group>,
    /// Commits that are not answered, by session, as indexes of transactions.
    commits: BTreeMap<(LineId, u16), Vec<usize>>,
}

/// Messages that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    published: Vec<MessageId>,
    results: Vec<MessageId>,
}

#[derive(Debug)]
struct Transaction {
    group: Group,
    is_committed: bool,
}

impl FollowUps {
    pub(super) fn told(&mut self, line: LineId, command: &Command, messages: &Messages) {
        match command {
            Command::Standalone { operation, .. } => {
                if let Standalone::Complete(complete) = &**operation {
                    self.complete(complete);
                }
            }
            Command::Session { session, operation, .. } => {
                self.operation((line, session.channel), operation, messages);
            }
            Command::Disconnect { .. } => {
                self.open.retain(|(other, _), _| *other != line);
                self.commits.retain(|(other, _), _| *other != line);
            }
            _ => {}
        }
    }

    pub(super) fn said(&mut self, line: LineId, channel: u16, effect: &Effect<Envelope>) {
        let Effect::Answered { answer: Answer::Committed, .. } = effect else { return };
        let Some(commits) = self.commits.get_mut(&(line, channel)).filter(|commits| !commits.is_empty())
        else {
            return;
        };
        let at = commits.remove(0);
        self.transactions[at].is_committed = true;
    }

    pub(super) fn process_ended(&mut self) {
        self.open.clear();
        self.commits.clear();
    }

    pub(super) fn inspect(&self, tasks: &JournaledTasks) -> Result<(), Violation> {
        for (lease, attempts) in &self.completions {
            check_completion(*lease, attempts, tasks)?;
        }
        for transaction in &self.transactions {
            let Transaction { group, is_committed } = transaction;
            match group.entry(tasks)? {
                None if *is_committed && !group.is_empty() => {
                    return Err(broken(format!("{group:?} was committed, and is nowhere")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn complete(&mut self, complete: &Complete) {
        let ids = |envelope: &Envelope| number(envelope.body());
        let group = Group {
            published: complete.publish.iter().filter_map(ids).collect(),
            results: complete.result.iter().filter_map(ids).collect(),
        };
        let attempts = self.completions.entry(complete.lease).or_default();
        if !attempts.contains(&group) {
            attempts.push(group);
        }
    }

    fn operation(&mut self, session: (LineId, u16), operation: &Operation, messages: &Messages) {
        match operation {
            Operation::SelectTransaction => drop(self.open.insert(session, Group::default())),
            Operation::OpenSession | Operation::CloseSession => {
                self.open.remove(&session);
                self.commits.remove(&session);
            }
            Operation::Publish(publish) => {
                let Some(group) = self.open.get_mut(&session) else { return };
                let id = messages.identify(publish.envelope.body());
                let Some(id) = id.filter(|id| messages[*id].is_of_tasks) else { return };
                match LeaseId::of_reply_address(publish.envelope.routing_key()) {
                    // What is tried again has no result.
                    Some(_) if asks_to_try_again(&publish.envelope) => {}
                    Some(_) => group.results.push(id),
                    None => group.published.push(id),
                }
            }
            Operation::Rollback => {
                self.open.entry(session).and_modify(|group| *group = Group::default());
            }
            Operation::Commit => {
                let Some(group) = self.open.get_mut(&session) else { return };
                let group = std::mem::take(group);
                self.commits.entry(session).or_default().push(self.transactions.len());
                self.transactions.push(Transaction { group, is_committed: false });
            }
            _ => {}
        }
    }
}

impl Group {
    /// The entry in which all of it is; nothing if nothing of it is anywhere.
    fn entry(&self, tasks: &JournaledTasks) -> Result<Option<u64>, Violation> {
        let mut entries: Vec<Option<u64>> = Vec::new();
        for id in &self.published {
            match tasks.published(*id) {
                [] => entries.push(None),
                [(entry, _)] => entries.push(Some(*entry)),
                more => return Err(broken(format!("{id:?} entered queues more than once: {more:?}"))),
            }
        }
        entries.extend(self.results.iter().map(|id| tasks.result(*id).map(|(entry, _)| entry)));
        match entries.iter().all(|entry| *entry == entries[0]) {
            true => Ok(entries.first().copied().flatten()),
            false => Err(broken(format!("of {self:?} some is there and some not: {entries:?}"))),
        }
    }

    fn is_empty(&self) -> bool {
        self.published.is_empty() && self.results.is_empty()
    }
}

fn check_completion(lease: LeaseId, attempts: &[Group], tasks: &JournaledTasks) -> Result<(), Violation> {
    let settled = tasks.lease(lease).and_then(|lease| lease.settled);
    let settled = settled.filter(|by| by.kind == SettlementKind::Complete).map(|by| by.entry);
    let mut done = 0;
    for attempt in attempts {
        let entry = attempt.entry(tasks)?;
        if entry.is_some() && entry != settled {
            return Err(broken(format!(
                "{attempt:?} is in entry {entry:?}, and its task ended in {settled:?}"
            )));
        }
        done += usize::from(entry.is_some());
    }
    let may_be_empty = attempts.iter().any(Group::is_empty);
    match (settled, done) {
        (None, 0) | (Some(_), 1) => Ok(()),
        (Some(_), 0) if may_be_empty => Ok(()),
        _ => Err(broken(format!("{lease} ended its task in {settled:?}, with {done} of {attempts:?}"))),
    }
}

fn asks_to_try_again(reply: &Envelope) -> bool {
    PropertiesView::from_checked(reply.properties()).header(b"x-retry").is_some()
}

fn broken(what: String) -> Violation {
    Violation::new("P6", what)
}

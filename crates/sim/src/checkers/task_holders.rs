//! P4: at any moment one worker at most has a task, and each who gets it has a higher epoch.

use std::collections::{BTreeMap, BTreeSet};

use broker::{
    Answer, Command, Effect, Envelope, LeaseId, Operation, Record, RequestTag, Standalone, TaskId, Timestamp,
};

use crate::line::LineId;
use crate::violation::Violation;

/// Who has which task.
#[derive(Debug, Default)]
pub(super) struct TaskHolders {
    holders: BTreeMap<TaskId, Holder>,
    /// Sessions whose openings, closings and recoveries are not answered: what they are told meanwhile they do not hold.
    turning: BTreeMap<(LineId, u16), u32>,
    /// The epochs told to each session.
    told: BTreeMap<((LineId, u16), TaskId), u64>,
    /// The highest epoch of each task in earlier lives of the process, and in this one.
    highest: BTreeMap<TaskId, (u64, u64)>,
    /// Tasks that were forgotten. Who chose such an id again has a new task, and what is still on its way of the old one says
    /// nothing of it.
    forgotten: BTreeSet<TaskId>,
    /// Every hold that was ever told of, with its epoch.
    leases: BTreeMap<LeaseId, (TaskId, u64)>,
    /// Holders that have asked for another time, and are not answered.
    extending: BTreeMap<(LineId, RequestTag), LeaseId>,
    /// A task went to one while another had it. Right only if the other's hold has ended by what is still to be told of or
    /// written.
    suspicions: BTreeMap<TaskId, Suspicion>,
    /// Connections that have ended: what they are told is told to nobody.
    ended: BTreeSet<LineId>,
}

#[derive(Debug)]
struct Suspicion {
    first: (LineId, u16),
    what: String,
}

#[derive(Debug)]
struct Holder {
    session: (LineId, u16),
    tag: u64,
    lease: LeaseId,
    epoch: u64,
    until: Option<Timestamp>,
}

impl TaskHolders {
    pub(super) fn told(&mut self, line: LineId, command: &Command, clock: Timestamp) {
        match command {
            Command::Disconnect { .. } => {
                self.ended.insert(line);
                // Whether it was to be told of a refusal nobody will know.
                self.suspicions.retain(|_, suspicion| suspicion.first.0 != line);
                self.release(|holder| holder.session.0 == line && holder.until.is_none());
            }
            Command::Standalone { request, operation, .. } => match &**operation {
                Standalone::Complete(complete) => self.release(|holder| holder.lease == complete.lease),
                Standalone::Fail(fail) => self.release(|holder| holder.lease == fail.lease),
                Standalone::Release { lease, .. } => self.release(|holder| holder.lease == *lease),
                Standalone::Extend { lease, .. } => {
                    // It may as well be shorter.
                    self.extending.insert((line, *request), *lease);
                    self.set_until(*lease, clock);
                }
                _ => {}
            },
            Command::Session { session, operation, .. } => self.operation((line, session.channel), operation),
            _ => {}
        }
    }

    fn operation(&mut self, session: (LineId, u16), operation: &Operation) {
        match operation {
            Operation::OpenSession | Operation::CloseSession | Operation::Recover => {
                *self.turning.entry(session).or_default() += 1;
                self.release(|holder| holder.session == session);
            }
            Operation::Settle { delivery_tag, multiple, .. } => self.release(|holder| {
                let is_meant =
                    if *multiple { holder.tag <= *delivery_tag } else { holder.tag == *delivery_tag };
                holder.session == session && (is_meant || *delivery_tag == 0)
            }),
            Operation::Publish(publish) => {
                if let Some(lease) = LeaseId::of_reply_address(publish.envelope.routing_key()) {
                    self.release(|holder| holder.lease == lease);
                }
            }
            _ => {}
        }
    }

    pub(super) fn said(
        &mut self,
        line: LineId,
        channel: u16,
        effect: &Effect<Envelope>,
        clock: Timestamp,
    ) -> Result<(), Violation> {
        let session = (line, channel);
        let (task, epoch, lease, tag, until) = match effect {
            Effect::Leased { grant, .. } => {
                (grant.task.id, grant.task.epoch, grant.lease, 0, Some(grant.expires_at))
            }
            Effect::Deliver { task: Some(task), delivery_tag, .. }
            | Effect::Got { task: Some(task), delivery_tag, .. } => {
                (task.task, task.epoch, task.lease, *delivery_tag, None)
            }
            Effect::Answered { request, answer: Answer::LeaseExtended { expires_at, cancelled: false } } => {
                let lease = self.extending.remove(&(line, *request));
                if let Some(lease) =
                    lease.filter(|lease| !self.extending.values().any(|other| other == lease))
                {
                    self.set_until(lease, *expires_at);
                }
                return Ok(());
            }
            Effect::Answered { answer, .. } => {
                if matches!(answer, Answer::SessionOpened | Answer::SessionClosed | Answer::Recovered) {
                    self.turning.entry(session).and_modify(|count| *count = count.saturating_sub(1));
                }
                return Ok(());
            }
            Effect::Refused { request, .. } => {
                self.extending.remove(&(line, *request));
                self.release(|holder| holder.session == session && holder.until.is_none());
                self.suspicions.retain(|_, suspicion| suspicion.first != session);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.check_epoch(session, task, epoch, lease)?;
        let is_turning = self.turning.get(&session).is_some_and(|count| *count > 0);
        // A lease outlives its connection.
        if !is_turning && (until.is_some() || !self.ended.contains(&line)) {
            self.hold(task, Holder { session, tag, lease, epoch, until }, clock);
        }
        Ok(())
    }

    /// What is written down ends holds, too.
    pub(super) fn written(&mut self, record: &Record, clock: Timestamp) -> Result<(), Violation> {
        if let Record::TasksForgotten { tasks } = record {
            self.forgotten.extend(tasks);
            return Ok(());
        }
        let (task, is_given_up) = match record {
            Record::TaskReturned(returned) => (returned.task, returned.settled.is_none()),
            Record::TaskEnded(ended) => (ended.task, false),
            _ => return Ok(()),
        };
        self.suspicions.remove(&task);
        match self.holders.remove(&task).filter(|_| is_given_up) {
            Some(Holder { until: Some(until), lease, .. }) if until > clock => {
                let what = format!("{task} was taken from {lease} at {clock:?}, before {until:?}");
                Err(Violation::new("P4", what))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn process_ended(&mut self) {
        self.holders.clear();
        self.turning.clear();
        self.suspicions.clear();
        self.told.clear();
        self.extending.clear();
        self.highest.values_mut().for_each(|(before, now)| *before = (*before).max(*now));
    }

    /// All is quiet: what was to be told or written is.
    pub(super) fn rest(&self) -> Result<(), Violation> {
        match self.suspicions.first_key_value() {
            Some((_, suspicion)) => Err(Violation::new("P4", suspicion.what.clone())),
            None => Ok(()),
        }
    }

    fn hold(&mut self, task: TaskId, holder: Holder, clock: Timestamp) {
        if self.holders.get(&task).is_some_and(|first| first.epoch > holder.epoch) {
            // Told late: it was over before the other was given.
            return;
        }
        if let Some(first) = self.holders.get(&task)
            && first.until.is_none_or(|until| until > clock)
        {
            let what = format!("{task} went to {holder:?} while {first:?} has it");
            self.suspicions.insert(task, Suspicion { first: first.session, what });
        }
        self.holders.insert(task, holder);
    }

    fn set_until(&mut self, lease: LeaseId, until: Timestamp) {
        let held = self.holders.values_mut().find(|holder| holder.lease == lease);
        held.into_iter().for_each(|holder| holder.until = Some(until));
    }

    fn release(&mut self, is_meant: impl Fn(&Holder) -> bool) {
        self.holders.retain(|_, holder| !is_meant(holder));
    }

    /// Epochs grow. Those of different sessions may be told in another order than they were given, but for those of
    /// different lives of the process.
    fn check_epoch(
        &mut self,
        session: (LineId, u16),
        task: TaskId,
        epoch: u64,
        lease: LeaseId,
    ) -> Result<(), Violation> {
        let (before, now) = self.highest.entry(task).or_default();
        let last = self.told.insert((session, task), epoch).unwrap_or(0).max(*before);
        *now = (*now).max(epoch);
        if epoch <= last && !self.forgotten.contains(&task) {
            return Err(Violation::new("P4", format!("{task} was handed out at epoch {epoch} after {last}")));
        }
        match self.leases.insert(lease, (task, epoch)) {
            Some(first) => Err(Violation::new("P4", format!("one lease for {first:?} and {task}"))),
            None => Ok(()),
        }
    }
}

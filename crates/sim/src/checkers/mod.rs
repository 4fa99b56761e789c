//! Those who watch, one for each promise. They stand apart from the workload: they see what the broker was told and what
//! it said, what its journal holds, and what clients know, and draw their own conclusions.

mod accepted_once;
mod answers_wait;
mod atomic;
mod bounded;
mod delivered_marks;
mod durable;
mod follow_ups;
mod one_holder;
mod order;
mod progress;
mod settlements;
mod task_holders;
mod task_lives;
mod vanishing;
mod words;

use broker::{Command, Effect, Envelope, Operation, TaskId, Timestamp};

pub use bounded::check as check_bounds;
pub use progress::check as check_progress;

use crate::agenda::Micros;
use crate::line::LineId;
use crate::messages::{Messages, Settled};
use crate::model::{Journaled, JournaledTasks};
use crate::node::{SharedTap, lock};
use crate::operations::PURGED;
use crate::violation::Violation;

/// All of them.
#[derive(Debug)]
pub struct Checkers {
    /// The time of the event that is under way.
    pub now: Micros,
    /// What the broker's clock shows then.
    pub clock: Timestamp,
    /// Things that were looked at and found right.
    pub checked: u64,
    /// What was told and said, in words, if somebody wants to read it.
    log: Option<Vec<String>>,
    tap: SharedTap,
    answers_wait: answers_wait::AnswersWait,
    one_holder: one_holder::OneHolder,
    order: order::Order,
    /// What the journal says of tasks, as far as it is written.
    tasks: JournaledTasks,
    accepted_once: accepted_once::AcceptedOnce,
    task_holders: task_holders::TaskHolders,
    task_lives: task_lives::TaskLives,
    settlements: settlements::Settlements,
    follow_ups: follow_ups::FollowUps,
    violations: Vec<Violation>,
}

impl Checkers {
    /// Watches a world whose journal has this tap.
    #[must_use]
    pub fn new(tap: SharedTap, logs: bool) -> Self {
        Self {
            now: 0,
            clock: Timestamp(0),
            checked: 0,
            log: logs.then(Vec::new),
            tap,
            answers_wait: answers_wait::AnswersWait::default(),
            one_holder: one_holder::OneHolder::default(),
            order: order::Order::default(),
            tasks: JournaledTasks::default(),
            accepted_once: accepted_once::AcceptedOnce::default(),
            task_holders: task_holders::TaskHolders::default(),
            task_lives: task_lives::TaskLives::default(),
            settlements: settlements::Settlements::default(),
            follow_ups: follow_ups::FollowUps::default(),
            violations: Vec::new(),
        }
    }

    /// A client's command is about to reach the broker.
    pub fn told(&mut self, line: LineId, command: &Command, messages: &mut Messages) {
        if let Some(log) = &mut self.log {
            log.push(words::told(line, command));
        }
        self.one_holder.told(line, command);
        self.answers_wait.told(line, command, &lock(&self.tap));
        self.accepted_once.told(line, command, self.clock);
        self.task_holders.told(line, command, self.clock);
        self.task_lives.told(line, command);
        self.settlements.told(line, command);
        self.follow_ups.told(line, command, messages);
        if let Command::Session { operation: Operation::PurgeQueue { name }, .. } = command
            && name.as_bytes() == PURGED.as_bytes()
        {
            messages.settle_queue(PURGED, Settled::Asked);
        }
    }

    /// The broker has told a client something.
    pub fn said(
        &mut self,
        line: LineId,
        channel: Option<u16>,
        effect: &Effect<Envelope>,
        messages: &mut Messages,
    ) {
        self.checked += 1;
        let channel = channel.unwrap_or(0);
        if let Some(log) = &mut self.log {
            log.push(words::said(line, channel, effect));
        }
        self.look();
        let found = self
            .answers_wait
            .said(line, channel, effect, &self.tasks, &lock(&self.tap))
            .and_then(|()| self.one_holder.said(line, channel, effect, self.now))
            .and_then(|()| delivered_marks::check(effect, messages))
            .and_then(|()| self.order.said(line, channel, effect, messages))
            .and_then(|()| self.accepted_once.said(line, effect))
            .and_then(|()| self.task_holders.said(line, channel, effect, self.clock))
            .and_then(|()| self.task_lives.said(line, effect, &self.tasks, messages))
            .and_then(|()| self.settlements.said(line, effect, &self.tasks));
        self.follow_ups.said(line, channel, effect);
        self.violations.extend(found.err());
    }

    /// Reads what was written of tasks.
    pub fn look(&mut self) {
        self.tasks.clock = self.tasks.clock.max(self.clock);
        while let Some(entry) = { lock(&self.tap).entry(self.tasks.position() + 1) } {
            let mut found = Ok(());
            let read = self.tasks.read(&entry, |record| {
                let seen = self.task_holders.written(record, self.clock);
                found = std::mem::replace(&mut found, Ok(())).and(seen);
            });
            self.violations.extend(found.and(read).err());
        }
    }

    /// What is wrong if nothing is still to be told or written.
    pub fn rest(&self) -> Result<(), Violation> {
        self.task_holders.rest().and_then(|()| self.one_holder.rest())
    }

    /// Whether the journal says that a task has ended.
    #[must_use]
    pub fn has_ended(&self, task: TaskId) -> bool {
        self.tasks.task(task).is_none_or(|task| task.end.is_some())
    }

    /// All tasks that were ever told of.
    #[must_use]
    pub fn told_tasks(&self) -> Vec<TaskId> {
        self.task_lives.told_tasks()
    }

    /// The broker's process has ended.
    pub fn process_ended(&mut self) {
        self.one_holder.process_ended();
        self.answers_wait.process_ended();
        self.tasks.begin_again();
        self.accepted_once.process_ended();
        self.task_holders.process_ended();
        self.task_lives.process_ended();
        self.settlements.process_ended();
        self.follow_ups.process_ended();
    }

    /// The broker is back, or simply looked at: all that its journal says, against all that clients know.
    pub fn inspect(&mut self, journaled: &Journaled, messages: &Messages, after_crash: bool) {
        self.checked += messages.len() as u64;
        self.look();
        let tap = lock(&self.tap);
        let found = [
            vanishing::check(journaled, messages),
            durable::check(journaled, messages, &tap, after_crash),
            order::check_journal(journaled, messages),
            atomic::check(journaled, messages),
            self.one_holder.inspect(self.now),
            self.task_lives.inspect(&self.tasks, messages),
            self.follow_ups.inspect(&self.tasks),
        ];
        self.violations.extend(found.into_iter().filter_map(Result::err));
    }

    /// What was told and said since this was last asked for.
    pub fn take_log(&mut self) -> Vec<String> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes what somebody else has seen.
    pub fn report(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// The first thing that was seen.
    pub fn take_violation(&mut self) -> Option<Violation> {
        self.violations.extend(lock(&self.tap).take_violations());
        (!self.violations.is_empty()).then(|| self.violations.remove(0))
    }
}

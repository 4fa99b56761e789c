//! P1 and P2 of tasks: one that was accepted is somewhere, what was told of it is never taken back, and an end is an end, with
//! its result to the byte.

use std::collections::{BTreeMap, BTreeSet};

use broker::{Answer, Command, Effect, Envelope, RequestTag, Standalone, TaskId, TaskState, TaskView};

use crate::line::LineId;
use crate::messages::Messages;
use crate::model::JournaledTasks;
use crate::operations::{BRIEF, JOBS, SMALL};
use crate::violation::Violation;

/// What was told of each task.
#[derive(Debug, Default)]
pub(super) struct TaskLives {
    /// The view of the highest version, of those told in this life of the process or before.
    seen: BTreeMap<TaskId, TaskView>,
    /// Told in this life of the process, so that epochs and versions can be compared.
    in_this_life: BTreeSet<TaskId>,
    /// Questions that want the result.
    with_result: BTreeSet<(LineId, RequestTag)>,
}

impl TaskLives {
    pub(super) fn told(&mut self, line: LineId, command: &Command) {
        let Command::Standalone { request, operation, .. } = command else { return };
        let wants_result = match &**operation {
            Standalone::Watch { with_result, .. } => *with_result,
            Standalone::Enqueue(enqueue) => enqueue.watch,
            _ => false,
        };
        if wants_result {
            self.with_result.insert((line, *request));
        }
    }

    pub(super) fn said(
        &mut self,
        line: LineId,
        effect: &Effect<Envelope>,
        tasks: &JournaledTasks,
        messages: &Messages,
    ) -> Result<(), Violation> {
        match effect {
            Effect::Answered { answer: Answer::Enqueued { tasks: views, .. }, .. } => {
                views.iter().try_for_each(|view| self.note(view, tasks))
            }
            Effect::Answered { answer: Answer::Cancelled(view), .. } => self.note(view, tasks),
            Effect::Leased { grant, message, .. } => {
                self.note(&grant.task, tasks)?;
                let task = tasks.task(grant.task.id).and_then(|task| task.message);
                match task == messages.identify(message.body()) || tasks.is_gone(grant.task.id) {
                    true => Ok(()),
                    false => Err(broken("P2", format!("{grant:?} came with the message of another task"))),
                }
            }
            Effect::Task { request, view, result } => {
                let wants_result = self.with_result.remove(&(line, *request));
                self.note(view, tasks)?;
                check_result(view, result.as_ref(), wants_result, tasks, messages)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn process_ended(&mut self) {
        self.in_this_life.clear();
        self.with_result.clear();
    }

    /// Every task that was told of is there, and every task that was confirmed.
    pub(super) fn inspect(&self, tasks: &JournaledTasks, messages: &Messages) -> Result<(), Violation> {
        for (id, view) in &self.seen {
            let may_be_gone = view.queue.as_bytes() == BRIEF.as_bytes() || tasks.is_gone(*id);
            if !may_be_gone && tasks.task(*id).is_none() {
                return Err(broken("P2", format!("{view:?} was told, and the task is nowhere")));
            }
        }
        for (id, message) in messages.iter().filter(|(_, message)| message.is_of_tasks) {
            let is_accepted = !tasks.published(id).is_empty();
            let is_task = message.queue.as_deref().is_some_and(|queue| [JOBS, SMALL].contains(&queue));
            if is_task && message.confirmed && !is_accepted {
                return Err(broken(
                    "P2",
                    format!("{id:?} was confirmed as a task, and is none: {message:?}"),
                ));
            }
            // Under a key it may have been taken before, or be taken later.
            if message.refused && !message.is_keyed && (is_accepted || tasks.result(id).is_some()) {
                return Err(broken("P6", format!("{id:?} was refused, and was taken: {message:?}")));
            }
        }
        Ok(())
    }

    /// All tasks that were ever told of.
    pub(super) fn told_tasks(&self) -> Vec<TaskId> {
        self.seen.keys().copied().collect()
    }

    fn note(&mut self, view: &TaskView, tasks: &JournaledTasks) -> Result<(), Violation> {
        self.check_end(view, tasks)?;
        let is_comparable = !self.in_this_life.insert(view.id);
        let Some(known) = self.seen.get(&view.id) else {
            self.seen.insert(view.id, view.clone());
            return Ok(());
        };
        // Its id was chosen again when it had been forgotten: another task.
        if known.created_at != view.created_at && tasks.is_gone(view.id) {
            if known.created_at < view.created_at {
                self.seen.insert(view.id, view.clone());
            }
            return Ok(());
        }
        let (older, newer) = if known.version <= view.version { (known, view) } else { (view, known) };
        let is_ended = older.state.is_final();
        let is_right = match is_ended {
            true => ending(older) == ending(newer),
            false => {
                let count = |view: &TaskView| [view.attempts, view.crashes, view.releases];
                count(older).iter().zip(count(newer)).all(|(before, after)| *before <= after)
            }
        };
        let is_right = is_right && (!is_comparable || older.epoch <= newer.epoch);
        let is_same = older.version < newer.version || older == newer;
        if !is_right || !is_same {
            return Err(broken("P1", format!("{newer:?} was told where {older:?} was")));
        }
        if known.version <= view.version {
            self.seen.insert(view.id, view.clone());
        }
        Ok(())
    }

    /// An end that is told is the end that was written.
    fn check_end(&self, view: &TaskView, tasks: &JournaledTasks) -> Result<(), Violation> {
        if !view.state.is_final() || tasks.is_gone(view.id) {
            return Ok(());
        }
        let Some(task) = tasks.task(view.id) else {
            return Err(broken("P2", format!("{view:?} was told, and the task is nowhere")));
        };
        let (attempts, crashes, releases) = task.counters();
        let is_right = task.end.as_ref().is_some_and(|end| {
            let end = &end.record;
            (view.state, view.ended_at, view.kept_until, view.status)
                == (end.state, Some(end.time), Some(end.kept_until), Some(end.status))
                && (view.attempts, view.crashes, view.releases) == (attempts, crashes, releases)
                && view.epoch == end.epoch
        });
        match is_right {
            true => Ok(()),
            false => Err(broken("P1", format!("{view:?} was told, and written is {task:?}"))),
        }
    }
}

/// What never changes of a task that has ended.
fn ending(view: &TaskView) -> (TaskState, [Option<broker::Timestamp>; 2], Option<u16>, [u32; 3], u64) {
    let counters = [view.attempts, view.crashes, view.releases];
    (view.state, [view.ended_at, view.kept_until], view.status, counters, view.epoch)
}

fn check_result(
    view: &TaskView,
    result: Option<&Envelope>,
    wants_result: bool,
    tasks: &JournaledTasks,
    messages: &Messages,
) -> Result<(), Violation> {
    let Some(end) = tasks.task(view.id).and_then(|task| task.end.as_ref()) else { return Ok(()) };
    let expected = end.result.as_ref().filter(|_| wants_result && view.state.is_final());
    if result != expected {
        return Err(broken("P1", format!("{view:?} came with {result:?} where {expected:?} is its result")));
    }
    match result.is_none_or(|result| messages.identify(result.body()).is_some()) {
        true => Ok(()),
        false => Err(broken("P1", format!("{view:?} came with a result that nobody gave: {result:?}"))),
    }
}

fn broken(promise: &'static str, what: String) -> Violation {
    Violation::new(promise, what)
}

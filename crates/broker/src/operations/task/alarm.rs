//! Time has come for tasks: they become due, expire, lose their workers, or are forgotten.

use crate::Timestamp;
use crate::broker::Broker;
use crate::operations::task::Ending;
use crate::output::Output;
use crate::record::Record;
use crate::task::{Holder, Phase, TaskId};

/// Tasks that are looked after in one go; others are as patient as everybody who waits for the core meanwhile.
pub(crate) const TASKS_MAX: usize = 1000;

impl Broker {
    /// Looks after the tasks whose time has come; some of them, if they are many: then the next deadline is in the past.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Output) {
        let mut forgotten = Vec::new();
        for _ in 0..TASKS_MAX {
            let Some(id) = self.tasks.due(now) else { break };
            self.look_after(now, id, &mut forgotten, out);
        }
        if !forgotten.is_empty() {
            out.record(&Record::TasksForgotten { tasks: forgotten });
        }
    }

    /// Does what the alarm of a task was set for, so that it is set anew.
    fn look_after(&mut self, now: Timestamp, id: TaskId, forgotten: &mut Vec<TaskId>, out: &mut Output) {
        let Some(task) = self.tasks.get(id) else { return };
        let (queue, is_overdue) = (task.accepted.queue, task.is_overdue(now));
        if task.end().is_some() {
            self.apply_tasks_forgotten(&[id]);
            forgotten.push(id);
            return;
        }
        if is_overdue {
            self.end_task(now, id, Ending::expired(), out);
            // It may have been in the way of others.
            return self.to_dispatch.push_back(queue);
        }
        match &task.phase {
            Phase::Running(run) => match run.holder {
                Holder::Lease { .. } => self.crash_task(now, id, out),
                Holder::Acked { .. } => self.end_task(now, id, Ending::succeeded(None, None), out),
                Holder::Delivery { .. } | Holder::Awaited { .. } => {}
            },
            Phase::Waiting { .. } => {
                self.change_task(id, |task| task.phase = Phase::Waiting { is_due: true });
                self.tell_watchers(id, out);
            }
            Phase::Ended(_) => {}
        }
    }
}

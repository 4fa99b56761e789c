//! What becomes of tasks, summed over the virtual hosts.

use super::broker::Number;

pub(super) const GAUGES: &[(&str, &str, Number)] = &[
    ("forebay_tasks", "Tasks that are unfinished, or whose results are kept.", |counts| counts.totals.tasks),
    ("forebay_tasks_scheduled", "Tasks that wait for a time.", |counts| counts.totals.tasks_scheduled),
    ("forebay_tasks_failed", "Tasks that were given up and are kept.", |counts| counts.totals.tasks_failed),
];

pub(super) const COUNTERS: &[(&str, &str, Number)] = &[
    ("forebay_tasks_accepted_total", "Messages that became tasks.", |counts| counts.counters.tasks_accepted),
    ("forebay_tasks_repeated_total", "Requests that repeated an idempotency key.", |counts| {
        counts.counters.tasks_repeated
    }),
    ("forebay_tasks_refused_full_total", "Tasks refused because their queue was full.", |counts| {
        counts.counters.tasks_refused_full
    }),
    ("forebay_tasks_succeeded_total", "Tasks that succeeded.", |counts| counts.counters.tasks_succeeded),
    ("forebay_tasks_failed_total", "Tasks that were given up.", |counts| counts.counters.tasks_failed),
    ("forebay_tasks_cancelled_total", "Tasks that were cancelled.", |counts| counts.counters.tasks_cancelled),
    ("forebay_tasks_expired_total", "Tasks not started, or not done, in time.", |counts| {
        counts.counters.tasks_expired
    }),
    ("forebay_task_retries_total", "Failed attempts that are tried again.", |counts| {
        counts.counters.task_retries
    }),
    ("forebay_task_crashes_total", "Workers lost while they had a task.", |counts| {
        counts.counters.task_crashes
    }),
    ("forebay_task_leases_total", "Tasks that were leased.", |counts| counts.counters.leases_granted),
    (
        "forebay_task_settlements_late_total",
        "Replies, rejections and settlements of workers that did not have the task any more.",
        |counts| counts.counters.task_settlements_late,
    ),
    ("forebay_task_replies_dropped_total", "Replies that nobody could take.", |counts| {
        counts.counters.task_replies_dropped
    }),
];

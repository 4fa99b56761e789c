//! The core's refusals as problems: each with its status, its code and what can be done.

use broker::{Refusal, Resource};
use hyper::StatusCode;

use crate::problem::Problem;

/// Seconds after which to try a full queue again when its workers have done nothing lately.
const RETRY_AFTER_FULL_S: u64 = 10;

/// Seconds after which to try again when the disk is full: it is looked at once a second.
const RETRY_AFTER_NO_ROOM_S: u64 = 5;

/// What a client is told of a refusal.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    let conflict = |code, title, detail: String| Problem::new(StatusCode::CONFLICT, code, title, detail);
    let not_found = |code, title, detail: String| Problem::new(StatusCode::NOT_FOUND, code, title, detail);
    let forbidden = |code, title, detail: String| Problem::new(StatusCode::FORBIDDEN, code, title, detail);
    match refusal {
        Refusal::NotFound(Resource::Queue(queue)) => not_found(
            "queue-not-found",
            "No such queue",
            format!("there is no queue '{queue}' in this virtual host; create it with PUT /v1/queues/{{name}}"),
        )
        .with("queue", queue.to_string()),
        Refusal::NotFound(Resource::Exchange(exchange)) => not_found(
            "exchange-not-found",
            "No such exchange",
            format!("there is no exchange '{exchange}' in this virtual host; declare it over AMQP first"),
        ),
        Refusal::Unroutable { exchange, routing_key } => not_found(
            "unroutable",
            "No queue takes the message",
            format!("no queue takes a message with routing key '{routing_key}' from exchange '{exchange}'; nothing was stored"),
        ),
        Refusal::NoSuchTask { task } => not_found(
            "task-not-found",
            "No such task",
            format!("there is no task {task}, or no longer: a finished one is kept for its result_ttl"),
        )
        .with("task", task.to_string()),
        Refusal::Locked { queue } => conflict(
            "queue-locked",
            "Queue of another connection",
            format!("queue '{queue}' is exclusive to an AMQP connection"),
        ),
        Refusal::QueueHalted { queue, reason } => {
            conflict("queue-halted", "Queue halted", format!("queue '{queue}' is halted: {reason}"))
        }
        Refusal::InExclusiveUse { queue } => conflict(
            "queue-in-exclusive-use",
            "Queue in exclusive use",
            format!("queue '{queue}' has an exclusive consumer"),
        ),
        Refusal::InUse(resource) => {
            conflict("in-use", "In use", format!("{resource} is in use; try again without if_unused"))
        }
        Refusal::NotEmpty { queue } => conflict(
            "queue-not-empty",
            "Queue not empty",
            format!("queue '{queue}' has messages; try again without if_empty"),
        ),
        Refusal::ReservedName(resource) => forbidden(
            "reserved-name",
            "Reserved name",
            format!("{resource} begins with 'amq.', which is reserved; choose another name"),
        ),
        Refusal::DefaultExchange => forbidden(
            "default-exchange",
            "Default exchange",
            "the default exchange can't be declared, deleted, bound or unbound".to_owned(),
        ),
        Refusal::SystemExchange { exchange } => forbidden(
            "system-exchange",
            "Predeclared exchange",
            format!("exchange '{exchange}' is predeclared and can't be deleted"),
        ),
        Refusal::InternalExchange { exchange } => forbidden(
            "internal-exchange",
            "Internal exchange",
            format!("exchange '{exchange}' takes messages from other exchanges only"),
        ),
        Refusal::Inequivalent { resource, argument, received, current } => {
            let shown = |value: Option<broker::Described>| value.map_or_else(|| "nothing".to_owned(), |value| value.value);
            let (received, current) = (shown(received), shown(current));
            conflict(
                "queue-exists-otherwise",
                "It exists with other values",
                format!("{resource} exists with {argument} = {current}, and {received} was asked for; delete it first, or ask for what is there"),
            )
            .with("argument", argument.to_string())
        }
        Refusal::NotATaskQueue { queue } => conflict(
            "not-a-task-queue",
            "Not a task queue",
            format!("queue '{queue}' holds plain messages; make a task queue with PUT /v1/queues/{{name}} or the argument x-task-queue=true"),
        )
        .with("queue", queue.to_string()),
        Refusal::QueueFull { queue, backlog, limit, retry_after_ms } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "queue-full",
            "Queue full",
            format!("queue '{queue}' holds {backlog} unfinished tasks of at most {limit}; nothing of the request was stored. Try again later, or add workers"),
        )
        .with("queue", queue.to_string())
        .with("backlog", backlog)
        .with("limit", limit)
        .retry_after(retry_after_ms.map_or(RETRY_AFTER_FULL_S, |ms| ms.div_ceil(1000).clamp(1, 3600))),
        Refusal::NoRoom { needed_bytes, room_bytes, reserve_bytes } => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "storage-full",
            "Disk full",
            format!("the disk of the server is full: {needed_bytes} bytes are needed, and {room_bytes} are left above the reserve of {reserve_bytes} that keeps acknowledgements going; nothing of the request was stored. Try again later: finished work makes room, and so does space freed on the disk of the data directory"),
        )
        .with("needed_bytes", needed_bytes)
        .with("room_bytes", room_bytes)
        .with("reserve_bytes", reserve_bytes)
        .retry_after(RETRY_AFTER_NO_ROOM_S),
        Refusal::TaskEnded { task, state } => conflict(
            "task-ended",
            "The task has ended",
            format!("task {task} is {} already; nothing was changed", state.name()),
        )
        .with("task", task.to_string())
        .with("state", state.name()),
        Refusal::LeaseLost { task, now } => lease_lost(task, now),
        Refusal::LeaseSettled { task, state } => conflict(
            "lease-settled",
            "The lease was settled in another way",
            format!("the first settlement has brought task {task} to {}; nothing was stored or published now", state.name()),
        )
        .with("task", task.to_string())
        .with("state", state.name()),
        Refusal::KeyReused { key, task } => Problem::invalid(
            "idempotency-key-reused",
            "The idempotency key stands for another request",
            format!("key '{key}' belongs to an earlier request with other contents, which made task {task}; choose a new key for a new request"),
        )
        .with("task", task.to_string()),
        Refusal::InvalidArgument { queue, argument, expected } => Problem::invalid(
            "invalid-queue",
            "The queue can't be like that",
            format!("argument '{argument}' of queue '{queue}' has to be {expected}"),
        )
        .with("argument", argument.to_string()),
        Refusal::InvalidTaskOption { option, value, expected } => Problem::invalid(
            "invalid-option",
            "An option of the task makes no sense",
            format!("{option} is '{value}' and has to be {expected}"),
        )
        .with("option", option)
        .with("value", value),
        Refusal::UnknownExchangeType { kind } => Problem::invalid(
            "invalid-exchange",
            "The exchange can't be like that",
            format!("there is no exchange type '{kind}'"),
        ),
        // Of sessions, bindings and transactions, which HTTP does not have.
        refusal @ (Refusal::HeadersMatchType { .. }
        | Refusal::HeadersMatchValue { .. }
        | Refusal::ConsumerTagInUse { .. }
        | Refusal::UnknownDeliveryTag { .. }
        | Refusal::TooManyUnacked { .. }
        | Refusal::MessageLost { .. }
        | Refusal::ConfirmToTransaction
        | Refusal::TransactionToConfirm
        | Refusal::NotTransactional
        | Refusal::TransactionTooLarge { .. }
        | Refusal::BindingTooLarge { .. }
        | Refusal::ReplyConsumerAcknowledges
        | Refusal::ReplyConsumerExists
        | Refusal::ReplyQueueBound { .. }
        | Refusal::ReplyQueueRead { .. }
        | Refusal::StaleReply
        | Refusal::FrontEnd { .. }) => Problem::internal(&format!("refused: {refusal:?}")),
    }
}

fn lease_lost(task: Option<broker::TaskId>, now: Option<(broker::TaskState, u64)>) -> Problem {
    let detail = match (task, now) {
        (Some(task), Some((state, epoch))) => format!(
            "task {task} is {} now, at epoch {epoch}; nothing was stored or published. Stop the work",
            state.name()
        ),
        _ => "no task is held by this lease, or no longer; nothing was stored or published. Stop the work"
            .to_owned(),
    };
    let mut problem = Problem::new(StatusCode::CONFLICT, "lease-lost", "Lease lost", detail);
    if let Some(task) = task {
        problem = problem.with("task", task.to_string());
    }
    if let Some((state, epoch)) = now {
        problem = problem.with("state", state.name()).with("epoch", epoch);
    }
    problem
}

#[cfg(test)]
mod tests {
    use broker::{TaskId, TaskState};
    use field_table::ShortString;

    use super::*;

    fn check(refusal: Refusal, status: u16, code: &str, retry_after: Option<&str>) {
        let response = problem(refusal.clone()).into_response();
        assert_eq!(response.status().as_u16(), status, "{refusal:?}");
        let found = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(found, retry_after, "{refusal:?}");
        assert!(format!("{:?}", response.body()).contains(&format!("/problems/{code}")), "{refusal:?}");
    }

    #[test]
    fn refusals_have_their_codes() {
        let queue = ShortString::from_static("q");
        let task = TaskId::from_bytes([7; 16]);
        check(Refusal::NotFound(Resource::Queue(queue.clone())), 404, "queue-not-found", None);
        check(Refusal::NoSuchTask { task }, 404, "task-not-found", None);
        check(Refusal::NotATaskQueue { queue: queue.clone() }, 409, "not-a-task-queue", None);
        let full = |retry_after_ms| Refusal::QueueFull {
            queue: queue.clone(),
            backlog: 5,
            limit: 5,
            retry_after_ms,
        };
        check(full(Some(40_001)), 429, "queue-full", Some("41"));
        check(full(Some(1)), 429, "queue-full", Some("1"));
        check(full(None), 429, "queue-full", Some("10"));
        let no_room = Refusal::NoRoom { needed_bytes: 900, room_bytes: 0, reserve_bytes: 1 << 20 };
        check(no_room, 507, "storage-full", Some("5"));
        check(Refusal::LeaseLost { task: None, now: None }, 409, "lease-lost", None);
        check(Refusal::LeaseSettled { task, state: TaskState::Failed }, 409, "lease-settled", None);
        check(Refusal::KeyReused { key: queue.clone(), task }, 422, "idempotency-key-reused", None);
        check(Refusal::TaskEnded { task, state: TaskState::Cancelled }, 409, "task-ended", None);
        check(Refusal::StaleReply, 500, "internal-error", None);
    }

    #[test]
    fn a_lost_lease_says_who_has_the_task_now() {
        let refusal = Refusal::LeaseLost {
            task: Some(TaskId::from_bytes([7; 16])),
            now: Some((TaskState::Running, 4)),
        };
        let body = format!("{:?}", problem(refusal).into_response().body());
        assert!(body.contains("epoch 4") && body.contains("running"), "{body}");
    }
}

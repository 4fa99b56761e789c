//! Refusals in RabbitMQ's codes and words.

use std::fmt;

use amqp_wire::{ErlangBinary, ErlangValue, ReplyCode};
use broker::{Described, Refusal, Resource};
use field_table::ShortString;

use crate::error::Failure;

/// A refusal that the front end finds itself, to take its place among the broker's.
pub(crate) fn front_end(code: ReplyCode, text: impl Into<String>) -> Refusal {
    Refusal::FrontEnd { code: code.number(), text: text.into() }
}

/// What a close says about `refusal`. Which of channel and connection closes follows from the code.
pub(crate) fn failure(refusal: &Refusal, vhost: &ShortString) -> Failure {
    let (code, text) = code_and_text(refusal, vhost);
    Failure::new(code, text)
}

fn code_and_text(refusal: &Refusal, vhost: &ShortString) -> (ReplyCode, String) {
    use ReplyCode::{
        AccessRefused, NotAllowed, NotFound, NotImplemented, PreconditionFailed, ResourceLocked,
    };

    let queue = |name: &ShortString| InVhost { kind: "queue", name: name.clone(), vhost };
    let exchange = |name: &ShortString| InVhost { kind: "exchange", name: name.clone(), vhost };
    let within = |resource: &Resource| match resource {
        Resource::Queue(name) => queue(name),
        Resource::Exchange(name) => exchange(name),
    };
    match refusal {
        Refusal::NotFound(resource) => (NotFound, format!("no {}", within(resource))),
        Refusal::Locked { queue: name } => (
            ResourceLocked,
            format!(
                "cannot obtain exclusive access to locked {}. It could be originally declared on another \
                 connection or the exclusive property value does not match that of the original declaration.",
                queue(name)
            ),
        ),
        Refusal::InExclusiveUse { queue: name } => {
            (AccessRefused, format!("{} in exclusive use", queue(name)))
        }
        Refusal::InUse(resource) => (PreconditionFailed, format!("{} in use", within(resource))),
        Refusal::NotEmpty { queue: name } => (PreconditionFailed, format!("{} not empty", queue(name))),
        Refusal::ReservedName(resource) => (AccessRefused, reserved_name(resource)),
        Refusal::DefaultExchange => (AccessRefused, "operation not permitted on the default exchange".into()),
        Refusal::SystemExchange { exchange: name } => {
            (AccessRefused, format!("deletion of system {} not allowed", exchange(name)))
        }
        Refusal::InternalExchange { exchange: name } => {
            (AccessRefused, format!("cannot publish to internal {}", exchange(name)))
        }
        Refusal::UnknownExchangeType { kind } => {
            (PreconditionFailed, format!("unknown exchange type '{kind}'"))
        }
        Refusal::Inequivalent { resource, argument, received, current } => (
            PreconditionFailed,
            inequivalent(&within(resource), argument, received.as_ref(), current.as_ref()),
        ),
        Refusal::HeadersMatchType { value } => (
            PreconditionFailed,
            format!(
                "Invalid x-match field type {} (value {}); expected longstr",
                value.type_name(),
                ErlangValue(value)
            ),
        ),
        Refusal::HeadersMatchValue { value } => (
            PreconditionFailed,
            format!(
                "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
                ErlangBinary(value)
            ),
        ),
        Refusal::ConsumerTagInUse { tag } => (NotAllowed, format!("attempt to reuse consumer tag '{tag}'")),
        Refusal::UnknownDeliveryTag { delivery_tag } => {
            (PreconditionFailed, format!("unknown delivery tag {delivery_tag}"))
        }
        Refusal::ConfirmToTransaction => (PreconditionFailed, "cannot switch from confirm to tx mode".into()),
        Refusal::TransactionToConfirm => (PreconditionFailed, "cannot switch from tx to confirm mode".into()),
        Refusal::NotTransactional => (PreconditionFailed, "channel is not transactional".into()),
        Refusal::TransactionTooLarge { unit, limit } => (
            PreconditionFailed,
            format!(
                "the transaction is over its limit of {limit} {unit}; nothing of it is done, commit more often"
            ),
        ),
        Refusal::BindingTooLarge { bytes, limit } => (
            PreconditionFailed,
            format!(
                "the binding takes {bytes} bytes, the limit is {limit}; give it fewer or shorter arguments"
            ),
        ),
        Refusal::QueueHalted { queue: name, reason } => {
            (PreconditionFailed, format!("{} is halted: {reason}", queue(name)))
        }
        Refusal::MessageLost { reason } => {
            (PreconditionFailed, format!("a message without acknowledgement is lost: {reason}"))
        }
        Refusal::TooManyUnacked { limit } => (
            PreconditionFailed,
            format!("the channel holds {limit} unacknowledged deliveries, its limit; acknowledge some first"),
        ),
        Refusal::ReplyConsumerAcknowledges => {
            (PreconditionFailed, "reply consumer cannot acknowledge".into())
        }
        Refusal::ReplyConsumerExists => (PreconditionFailed, "reply consumer already set".into()),
        Refusal::ReplyQueueBound { queue: name } => {
            (AccessRefused, format!("{} takes direct replies and can't be bound or unbound", queue(name)))
        }
        Refusal::ReplyQueueRead { queue: name } => {
            (NotImplemented, format!("basic.get from {}, which takes direct replies", queue(name)))
        }
        Refusal::Unroutable { exchange: name, routing_key } => (
            ReplyCode::NoRoute,
            format!("no queue takes a message with routing key '{routing_key}' from {}", exchange(name)),
        ),
        Refusal::NotATaskQueue { queue: name } => {
            (PreconditionFailed, format!("{} holds no tasks: declare it with x-task-queue=true", queue(name)))
        }
        Refusal::InvalidArgument { queue: name, argument, expected } => {
            (PreconditionFailed, format!("invalid arg '{argument}' for {}: {expected}", queue(name)))
        }
        Refusal::InvalidTaskOption { option, value, expected } => {
            (PreconditionFailed, format!("invalid {option} '{value}' of a task: {expected}"))
        }
        Refusal::QueueFull { queue: name, backlog, limit, .. } => (
            PreconditionFailed,
            format!("{} is full: {backlog} unfinished tasks of {limit}; nothing of it is done", queue(name)),
        ),
        Refusal::NoRoom { needed_bytes, room_bytes, reserve_bytes } => (
            PreconditionFailed,
            format!(
                "the disk is full: {needed_bytes} bytes are needed, {room_bytes} are left above the reserve of \
                 {reserve_bytes}; nothing of it is done, free some space or acknowledge messages, and try again"
            ),
        ),
        Refusal::StaleReply => (
            PreconditionFailed,
            "the transaction answers a task that is not held any more; nothing of it is done".into(),
        ),
        // Asked for over HTTP only.
        Refusal::NoSuchTask { .. }
        | Refusal::TaskEnded { .. }
        | Refusal::LeaseLost { .. }
        | Refusal::LeaseSettled { .. }
        | Refusal::KeyReused { .. } => (ReplyCode::InternalError, format!("{refusal:?}")),
        Refusal::FrontEnd { code, text } => {
            (ReplyCode::from_number(*code).unwrap_or(ReplyCode::InternalError), text.clone())
        }
    }
}

/// `queue 'NAME' in vhost 'VHOST'`.
struct InVhost<'a> {
    kind: &'static str,
    name: ShortString,
    vhost: &'a ShortString,
}

impl fmt::Display for InVhost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

fn reserved_name(resource: &Resource) -> String {
    let (kind, name) = match resource {
        Resource::Queue(name) => ("queue", name),
        Resource::Exchange(name) => ("exchange", name),
    };
    format!("{kind} name '{name}' contains reserved prefix 'amq.*'")
}

/// Two values are shown plainly; where one is missing, the other one's type is shown too.
fn inequivalent(
    resource: &InVhost<'_>,
    argument: &ShortString,
    received: Option<&Described>,
    current: Option<&Described>,
) -> String {
    let (received, current) = match (received, current) {
        (Some(received), Some(current)) => (format!("'{}'", received.value), format!("'{}'", current.value)),
        (received, current) => (with_type(received), with_type(current)),
    };
    format!("inequivalent arg '{argument}' for {resource}: received {received} but current is {current}")
}

fn with_type(described: Option<&Described>) -> String {
    match described {
        None => "none".into(),
        Some(Described { value, type_name: None }) => format!("the value '{value}'"),
        Some(Described { value, type_name: Some(name) }) => format!("the value '{value}' of type '{name}'"),
    }
}

#[cfg(test)]
mod tests {
    use amqp_wire::Scope;

    use super::*;

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    fn check(refusal: Refusal, code: u16, text: &str) {
        let failure = failure(&refusal, &name("/"));
        assert_eq!((failure.code.number(), failure.text.to_string().as_str()), (code, text));
    }

    fn described(value: &str, type_name: &'static str) -> Option<Described> {
        Some(Described { value: value.into(), type_name: Some(type_name) })
    }

    #[test]
    fn texts_are_rabbitmqs() {
        let queue = || Resource::Queue(name("q"));
        check(Refusal::NotFound(queue()), 404, "NOT_FOUND - no queue 'q' in vhost '/'");
        check(
            Refusal::NotFound(Resource::Exchange(name("x"))),
            404,
            "NOT_FOUND - no exchange 'x' in vhost '/'",
        );
        check(Refusal::InUse(queue()), 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use");
        check(
            Refusal::NotEmpty { queue: name("q") },
            406,
            "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
        );
        check(
            Refusal::InExclusiveUse { queue: name("q") },
            403,
            "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
        );
        check(
            Refusal::ReservedName(Resource::Exchange(name("amq.x"))),
            403,
            "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'",
        );
        check(
            Refusal::DefaultExchange,
            403,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        );
        check(
            Refusal::SystemExchange { exchange: name("amq.direct") },
            403,
            "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        );
        check(
            Refusal::InternalExchange { exchange: name("x") },
            403,
            "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
        );
        check(
            Refusal::UnknownExchangeType { kind: name("t") },
            406,
            "PRECONDITION_FAILED - unknown exchange type 't'",
        );
        check(
            Refusal::HeadersMatchValue { value: name("foo") },
            406,
            "PRECONDITION_FAILED - Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x",
        );
        check(
            Refusal::HeadersMatchType { value: amqp_wire::Value::I8(5) },
            406,
            "PRECONDITION_FAILED - Invalid x-match field type byte (value 5); expected longstr",
        );
        check(
            Refusal::UnknownDeliveryTag { delivery_tag: 9 },
            406,
            "PRECONDITION_FAILED - unknown delivery tag 9",
        );
        check(
            Refusal::ConfirmToTransaction,
            406,
            "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        );
        check(Refusal::NotTransactional, 406, "PRECONDITION_FAILED - channel is not transactional");
        check(Refusal::ReplyConsumerExists, 406, "PRECONDITION_FAILED - reply consumer already set");
    }

    #[test]
    fn a_locked_queue_is_explained_within_255_bytes() {
        let failure = failure(&Refusal::Locked { queue: name("q") }, &name("/"));
        assert_eq!(failure.code, ReplyCode::ResourceLocked);
        let text = failure.text.to_string();
        assert!(
            text.starts_with(
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be \
                 originally declared on another connection"
            ),
            "{text}"
        );
        assert!(text.len() <= 255);
    }

    #[test]
    fn an_inequivalent_declaration_shows_both_sides() {
        let inequivalent = |received, current| Refusal::Inequivalent {
            resource: Resource::Queue(name("q")),
            argument: name("x-max-length"),
            received,
            current,
        };
        let start =
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received";
        check(
            inequivalent(described("20", "long"), described("10", "long")),
            406,
            &format!("{start} '20' but current is '10'"),
        );
        check(
            inequivalent(None, described("10", "signedint")),
            406,
            &format!("{start} none but current is the value '10' of type 'signedint'"),
        );
        check(
            inequivalent(described("10", "signedint"), None),
            406,
            &format!("{start} the value '10' of type 'signedint' but current is none"),
        );
    }

    #[test]
    fn a_consumer_tag_in_use_ends_the_connection() {
        let refusal = Refusal::ConsumerTagInUse { tag: name("t") };
        check(refusal.clone(), 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'");
        assert_eq!(failure(&refusal, &name("/")).code.scope(), Scope::Connection);
    }
}

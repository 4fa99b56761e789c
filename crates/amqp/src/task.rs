//! What a worker is told beside a task's message: the message's properties, rewritten for one delivery.

use std::borrow::Cow;

use amqp_wire::{PropertiesView, Property, Value};
use broker::{Envelope, TaskDelivery};
use field_table::ShortString;

/// The properties of a delivery: the message's own, or for a task a copy that names the task and asks the worker to
/// answer to the address of this delivery.
pub(crate) fn delivered_properties<'a>(envelope: &'a Envelope, task: Option<&TaskDelivery>) -> Cow<'a, [u8]> {
    let Some(task) = task else { return Cow::Borrowed(envelope.properties()) };
    let mut properties = PropertiesView::from_checked(envelope.properties())
        .with_short_string(Property::ReplyTo, Some(&task.lease.reply_address()));
    let id = ShortString::from_text_cut(&task.task.to_string());
    for property in [Property::MessageId, Property::CorrelationId] {
        let view = PropertiesView::from_checked(&properties);
        if !view.flags().contains(property) {
            properties = view.with_short_string(property, Some(&id));
        }
    }
    let view = PropertiesView::from_checked(&properties);
    let mut headers = view.decode_headers().unwrap_or_default();
    headers.insert(ShortString::from_static("x-task-id"), Value::text(&task.task.to_string()));
    headers.insert(ShortString::from_static("x-attempt"), Value::I64(i64::from(task.attempt)));
    headers.insert(ShortString::from_static("x-epoch"), Value::I64(task.epoch as i64));
    match task.deadline {
        Some(deadline) => {
            headers.insert(ShortString::from_static("x-deadline"), Value::Timestamp(deadline.0 / 1000));
        }
        // The producer's was a duration: a worker would take it for a time.
        None => {
            headers.remove(b"x-deadline");
        }
    }
    Cow::Owned(view.with_headers(Some(&headers)))
}

#[cfg(test)]
mod tests {
    use amqp_wire::Properties;
    use broker::{LeaseId, TaskId, Timestamp};

    use super::*;

    const TASK: TaskId = TaskId::from_bytes([7; 16]);
    const LEASE: LeaseId = LeaseId::from_bytes([9; 16]);

    fn delivered(properties: &Properties, deadline: Option<Timestamp>) -> Properties {
        let envelope = Envelope::new(b"", b"q", &properties.to_bytes(), b"body");
        let task = TaskDelivery { task: TASK, attempt: 2, epoch: 1 << 20, lease: LEASE, deadline };
        Properties::decode(&delivered_properties(&envelope, Some(&task))).unwrap()
    }

    #[test]
    fn a_worker_is_told_which_task_it_has_and_where_to_answer() {
        let told = delivered(&Properties::default(), None);
        let id = ShortString::from_text_cut(&TASK.to_string());
        assert_eq!((told.message_id, told.correlation_id), (Some(id.clone()), Some(id.clone())));
        assert_eq!(told.reply_to, Some(LEASE.reply_address()));
        let headers = told.headers.unwrap();
        assert_eq!(headers.get(b"x-task-id"), Some(&Value::LongString(id.as_bytes().to_vec().into())));
        assert_eq!(headers.get(b"x-attempt"), Some(&Value::I64(2)));
        assert_eq!(headers.get(b"x-epoch"), Some(&Value::I64(1 << 20)));
        assert_eq!(headers.get(b"x-deadline"), None);
    }

    #[test]
    fn what_the_producer_said_stays_but_for_the_reply_address_and_the_deadline() {
        let text = ShortString::from_static;
        let said = Properties {
            message_id: Some(text("order-1")),
            correlation_id: Some(text("c")),
            reply_to: Some(text("mine")),
            headers: Some(
                [(text("x-deadline"), Value::I64(5000)), (text("k"), Value::Bool(true))]
                    .into_iter()
                    .collect(),
            ),
            ..Properties::default()
        };
        let told = delivered(&said, Some(Timestamp(1_790_000_000_123)));
        assert_eq!((told.message_id, told.correlation_id), (said.message_id, said.correlation_id));
        assert_eq!(told.reply_to, Some(LEASE.reply_address()));
        let headers = told.headers.unwrap();
        assert_eq!(headers.get(b"x-deadline"), Some(&Value::Timestamp(1_790_000_000)));
        assert_eq!(headers.get(b"k"), Some(&Value::Bool(true)));
    }
}

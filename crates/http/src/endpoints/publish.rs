//! `POST /v1/exchanges/{exchange}/messages`: publishes a message.

use std::sync::Arc;

use broker::{Answer as CoreAnswer, Envelope, Publish, Standalone};
use field_table::{ShortString, Table, Value};
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use message_properties::Properties;

use super::call::TASK_NAME;
use crate::backend::{Right, Target};
use crate::document;
use crate::idempotency;
use crate::problem::{Answer, Problem};
use crate::request::{Asked, short_header};

/// The header with the routing key; empty when it is missing.
const ROUTING_KEY: HeaderName = HeaderName::from_static("routing-key");

/// The default exchange, whose real name is empty, as RabbitMQ's tools write it.
const DEFAULT_EXCHANGE: &[u8] = b"amq.default";

/// 204 when the message is safe; 404 when no queue takes it.
pub(super) async fn answer(asked: Asked) -> Answer {
    let name = asked.name()?;
    let exchange = if name.as_bytes() == DEFAULT_EXCHANGE { ShortString::default() } else { name };
    let line = Arc::clone(&asked.line);
    line.authorise(Right::Write, Target::Exchange(&exchange))?;
    let headers = asked.headers();
    let routing_key = short_header(headers, &ROUTING_KEY)?.unwrap_or_default();
    // Task queues take a key once; others do not look at it.
    let key = idempotency::text(headers)?.map(|key| {
        let value = Value::text(&key.to_string());
        Table::from_iter([(ShortString::from_static("x-idempotency-key"), value)])
    });
    let properties = Properties {
        headers: key,
        content_type: short_header(headers, &CONTENT_TYPE)?,
        content_encoding: short_header(headers, &CONTENT_ENCODING)?,
        kind: short_header(headers, &TASK_NAME)?,
        delivery_mode: Some(2),
        ..Properties::default()
    };
    let body = asked.receive().await?;
    let envelope = Envelope::new(&exchange, &routing_key, &properties.to_bytes(), &body.bytes);
    drop(body);
    let publish = Publish { envelope, mandatory: true, persistent: true, headers: None };
    match line.answer(Standalone::Publish(publish)).await? {
        CoreAnswer::Published { .. } => Ok(document::empty(StatusCode::NO_CONTENT)),
        _ => Err(Problem::internal("another answer than to a publish")),
    }
}

//! `GET /v1/pins`: what holds the old files of the journal.

use std::sync::Arc;

use broker::{BodyOwner, Holding, Standing};
use engine::{Pin, PinnedBody, Pins};
use hyper::StatusCode;
use serde::Serialize;

use crate::backend::{Right, Target};
use crate::document;
use crate::problem::Answer;
use crate::request::Asked;
use crate::time_text::rfc3339;

#[derive(Serialize)]
struct PinsDocument {
    as_of: String,
    files: Vec<PinDocument>,
}

#[derive(Serialize)]
struct PinDocument {
    file: String,
    bytes: u64,
    live_bytes: u64,
    live: u64,
    entries_in_use: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<OldestDocument>,
}

#[derive(Default, Serialize)]
struct OldestDocument {
    entry: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
}

/// 200 with the files.
pub(super) async fn answer(asked: Asked) -> Answer {
    let line = Arc::clone(&asked.line);
    line.authorise(Right::Read, Target::VirtualHost)?;
    Ok(document::json(StatusCode::OK, &PinsDocument::from(line.pins().await?)))
}

impl From<Pins> for PinsDocument {
    fn from(pins: Pins) -> Self {
        Self { as_of: rfc3339(pins.as_of), files: pins.files.into_iter().map(PinDocument::from).collect() }
    }
}

impl From<Pin> for PinDocument {
    fn from(pin: Pin) -> Self {
        let Pin { file, bytes, live_bytes, live_bodies: live, entries_in_use, oldest } = pin;
        Self { file, bytes, live_bytes, live, entries_in_use, oldest: oldest.map(OldestDocument::from) }
    }
}

impl From<PinnedBody> for OldestDocument {
    fn from(PinnedBody { owner, entry, queue, standing }: PinnedBody) -> Self {
        let mut document = Self { entry, queue: queue.map(|queue| queue.to_string()), ..Self::default() };
        match owner {
            BodyOwner::Message { sequence, .. } => document.sequence = Some(sequence),
            BodyOwner::Result { task } => document.task = Some(task.to_string()),
        }
        document.state = match standing {
            None => "result",
            Some(Standing::Gone) => "settled",
            Some(Standing::Waiting) => "waiting",
            Some(Standing::ReplyAwaited) => "reply_awaited",
            Some(Standing::Leased { worker }) => {
                document.worker = Some(worker.to_string());
                "leased"
            }
            Some(Standing::Delivered(Holding { session, user, consumer_tag, since })) => {
                document.user = Some(user.to_string());
                document.connection = Some(session.connection.0);
                document.channel = Some(session.channel);
                document.consumer_tag = consumer_tag.map(|tag| tag.to_string());
                document.since = Some(rfc3339(since));
                "delivered"
            }
        };
        document
    }
}

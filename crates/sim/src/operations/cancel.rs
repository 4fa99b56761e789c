//! A consumer stops.

use amqp_wire::basic;

use crate::client::{Request, Turn, name};

/// Stops one of the channel's consumers.
pub fn some(turn: &mut Turn<'_>) {
    let channel = turn.channel();
    let is_stopping =
        |tag: &&String| channel.asked.iter().any(|asked| asked.request == Request::Cancel((*tag).clone()));
    let tags: Vec<String> = channel.consumers.keys().filter(|tag| !is_stopping(tag)).cloned().collect();
    if tags.is_empty() {
        return;
    }
    let tag = turn.random.pick(&tags).clone();
    let cancel = basic::Cancel { consumer_tag: name(&tag), no_wait: false };
    turn.ask(Request::Cancel(tag), cancel);
}

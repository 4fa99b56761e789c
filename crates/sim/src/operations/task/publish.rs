//! Tasks are published.

use amqp_wire::{Properties, Table, Value};

use super::super::call::REPLIES;
use super::super::{DONE, JOBS, SMALL};
use crate::client::{KeyedTask, Publishing, Turn, name};
use crate::requester::any_options;

/// Keyed tasks that a client remembers.
const KEYED_MAX: usize = 20;

/// Publishes a task.
pub fn some(turn: &mut Turn<'_>) {
    let (queue, properties, _) = any(turn);
    turn.publish(&Publishing { properties, ..Publishing::of_tasks_to(queue) });
}

/// Publishes a task under a key of its own.
pub fn with_key(turn: &mut Turn<'_>) {
    let (queue, mut properties, mut headers) = any(turn);
    let key = format!("k{}-{}", turn.client.number, turn.messages.len());
    headers.insert(name("x-idempotency-key"), Value::text(&key));
    properties.headers = Some(headers);
    let publishing = Publishing { properties, ..Publishing::of_tasks_to(queue) };
    let (id, body) = turn.publish(&publishing);
    turn.messages[id].is_keyed = true;
    let keyed = &mut turn.client.keyed;
    if keyed.len() == KEYED_MAX {
        keyed.remove(0);
    }
    keyed.push(KeyedTask { id, body, queue, properties: publishing.properties });
}

/// Publishes a task again under its key, whether it was confirmed or not.
pub fn again(turn: &mut Turn<'_>) {
    if turn.client.keyed.is_empty() {
        return;
    }
    let KeyedTask { id, body, queue, properties } = turn.random.pick(&turn.client.keyed).clone();
    // That it was refused before says nothing of this time.
    turn.messages[id].refused = false;
    turn.publish_body(&Publishing { properties, ..Publishing::of_tasks_to(queue) }, id, &body);
}

fn any(turn: &mut Turn<'_>) -> (&'static str, Properties, Table) {
    let queue = if turn.random.percent(80) { JOBS } else { SMALL };
    let reply_to = match turn.random.below(10) {
        0..4 => Some(DONE),
        4..6 => Some(REPLIES),
        _ => None,
    };
    let (properties, headers) = any_options(turn.random, reply_to);
    let chosen = turn.random.percent(10).then(|| chosen_id(turn.random.draw()));
    let properties = Properties { message_id: chosen, headers: Some(headers.clone()), ..properties };
    (queue, properties, headers)
}

/// A name that becomes the id of the task.
fn chosen_id(random: u64) -> amqp_wire::ShortString {
    let (high, low) = (random >> 32, random & 0xffff_ffff);
    name(&format!("{high:08x}-0000-7000-8000-0000{low:08x}"))
}

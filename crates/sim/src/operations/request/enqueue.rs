//! Tasks are added to a queue.

use broker::{Enqueue, IdempotencyKey, Standalone};
use message_properties::Properties;

use crate::client::name;
use crate::messages::number;
use crate::operations::{BRIEF, DONE};
use crate::requester::{Asking, any_options, remember};

/// Adds some, in a request that can't be repeated.
pub fn some(asking: &mut Asking<'_>) {
    let queue = if asking.random.percent(10) { BRIEF } else { asking.any_queue() };
    let enqueue = any(asking, queue);
    asking.ask(Standalone::Enqueue(enqueue));
}

/// Adds some under a key.
pub fn with_key(asking: &mut Asking<'_>) {
    let queue = asking.any_queue();
    let key = asking.requester.new_key();
    let enqueue = any(asking, queue);
    let fingerprint = fingerprint(&enqueue);
    let key = Some(IdempotencyKey { user: name("guest"), key: name(&key), fingerprint });
    let enqueue = Enqueue { key, ..enqueue };
    note_keyed(asking, &enqueue);
    remember(&mut asking.requester.keyed, enqueue.clone());
    asking.ask(Standalone::Enqueue(enqueue));
}

/// Repeats a request with a key, whether it was answered or not.
pub fn again(asking: &mut Asking<'_>) {
    if let Some(enqueue) = before(asking) {
        asking.ask(Standalone::Enqueue(enqueue));
    }
}

/// Asks for something else under a key that was used.
pub fn other_with_old_key(asking: &mut Asking<'_>) {
    let Some(before) = before(asking) else { return };
    let queue = before.queue.to_string();
    let enqueue = any(asking, &queue);
    let fingerprint = fingerprint(&enqueue);
    let key = before.key.map(|key| IdempotencyKey { fingerprint, ..key });
    // It is asked again on the next connection, and by then the key may be forgotten.
    note_keyed(asking, &enqueue);
    asking.ask(Standalone::Enqueue(Enqueue { key, ..enqueue }));
}

/// Its messages are published under a key.
fn note_keyed(asking: &mut Asking<'_>, enqueue: &Enqueue) {
    for id in enqueue.tasks.iter().filter_map(|task| number(task.body())) {
        asking.messages[id].is_keyed = true;
    }
}

/// What no other request has.
fn fingerprint(enqueue: &Enqueue) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    let first = number(enqueue.tasks[0].body()).map_or(0, |id| id.0);
    fingerprint[..8].copy_from_slice(&first.to_be_bytes());
    fingerprint
}

fn before(asking: &mut Asking<'_>) -> Option<Enqueue> {
    let count = asking.requester.keyed.len();
    (count > 0).then(|| asking.requester.keyed[asking.random.index(count)].clone())
}

fn any(asking: &mut Asking<'_>, queue: &str) -> Enqueue {
    let count = if asking.random.percent(80) { 1 } else { asking.random.between(2, 4) };
    let tasks = (0..count).map(|_| {
        let reply_to = asking.random.percent(25).then_some(DONE);
        let (properties, headers) = any_options(asking.random, reply_to);
        let properties = Properties { headers: Some(headers), ..properties };
        asking.message(Some(queue), &properties).1
    });
    let tasks = tasks.collect();
    let (expects_reply, watch) = (asking.random.percent(40), asking.random.percent(30));
    Enqueue { queue: name(queue), tasks, expects_reply, key: None, watch }
}

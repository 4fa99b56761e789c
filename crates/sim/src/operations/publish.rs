//! Messages are published.

use amqp_wire::{Properties, Table, Value, confirm};

use super::bind::any_key;
use super::declare_exchange::any_exchange;
use super::{FAN, FLOOD, PURGED, WORK};
use crate::client::{Mode, Publishing, Request, Turn, name};

/// From now on publishes are confirmed.
pub fn select_confirm(turn: &mut Turn<'_>) {
    turn.channel().mode = Mode::Confirm;
    turn.ask(Request::SelectConfirm, confirm::Select { no_wait: false });
}

/// Publishes work.
pub fn work(turn: &mut Turn<'_>) {
    let queue = *turn.random.pick(&WORK);
    turn.publish(&Publishing::to(queue));
}

/// Publishes much work at once.
pub fn many(turn: &mut Turn<'_>) {
    let queue = *turn.random.pick(&WORK);
    for _ in 0..turn.random.between(2, 30) {
        turn.publish(&Publishing::to(queue));
    }
}

/// Publishes to two queues at once.
pub fn by_exchange(turn: &mut Turn<'_>) {
    turn.publish(&Publishing { exchange: FAN, ..Publishing::to("") });
}

/// Publishes what no queue takes: returned, or dropped.
pub fn nowhere(turn: &mut Turn<'_>) {
    let mandatory = turn.random.percent(50);
    turn.publish(&Publishing { mandatory, exchange: "amq.direct", ..Publishing::to("nobody") });
}

/// Publishes what does not survive to a queue that does.
pub fn transient(turn: &mut Turn<'_>) {
    let queue = *turn.random.pick(&WORK);
    turn.publish(&Publishing { persistent: false, ..Publishing::to(queue) });
}

/// Floods the queue that does not survive.
pub fn flood(turn: &mut Turn<'_>) {
    for _ in 0..turn.random.between(1, 20) {
        turn.publish(&Publishing { persistent: false, ..Publishing::to(FLOOD) });
    }
}

/// Publishes to the queue that is purged.
pub fn purged(turn: &mut Turn<'_>) {
    turn.publish(&Publishing::to(PURGED));
}

/// Publishes through an exchange that may not be there.
pub fn to_own(turn: &mut Turn<'_>) {
    let (exchange, key) = (any_exchange(turn), any_key(turn));
    let headers: Table = [(name("kind"), Value::I32(1))].into_iter().collect();
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    let mandatory = turn.random.percent(20);
    turn.publish(&Publishing { exchange: &exchange, mandatory, properties, ..Publishing::to(key) });
}

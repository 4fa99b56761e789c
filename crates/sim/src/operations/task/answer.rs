//! A worker replies to the address that its task came with.

use amqp_wire::{Properties, Table, Value, hot};

use crate::client::{Publishing, Turn, name};

/// Replies with a result, and acknowledges.
pub fn with_result(turn: &mut Turn<'_>) {
    let Some((tag, address)) = any_address(turn) else { return };
    turn.publish(&Publishing::of_tasks_to(&address));
    acknowledge(turn, tag);
}

/// Replies that it has failed, for good or not, and acknowledges.
pub fn with_error(turn: &mut Turn<'_>) {
    let Some((tag, address)) = any_address(turn) else { return };
    let mut headers: Table = [(name("x-error"), Value::text("no paper"))].into_iter().collect();
    match turn.random.below(3) {
        0 => {}
        1 => drop(headers.insert(name("x-retry"), Value::Bool(true))),
        _ => drop(headers.insert(name("x-retry"), Value::I64(turn.random.below(100) as i64))),
    }
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    turn.publish(&Publishing { properties, ..Publishing::of_tasks_to(&address) });
    acknowledge(turn, tag);
}

/// Replies to one of the last addresses, settled or not, answered or not.
pub fn at_any_time(turn: &mut Turn<'_>) {
    let addresses = turn.channel().addresses.clone();
    if addresses.is_empty() {
        return;
    }
    let address = &addresses[turn.random.index(addresses.len())];
    let mandatory = turn.random.percent(50);
    turn.publish(&Publishing { mandatory, ..Publishing::of_tasks_to(address) });
}

/// A delivery of a task, and where its reply goes.
pub fn any_address(turn: &mut Turn<'_>) -> Option<(u64, String)> {
    let tag = turn.any_held()?;
    let address = turn.channel().held[&tag].reply_to.clone()?;
    Some((tag, address))
}

fn acknowledge(turn: &mut Turn<'_>, tag: u64) {
    // Some workers never do, as long as their connection lasts.
    if turn.random.percent(90) {
        turn.let_go(tag);
        let number = turn.number;
        hot::ack(&mut turn.client.output, number, tag, false);
    }
}

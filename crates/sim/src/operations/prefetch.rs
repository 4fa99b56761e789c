//! How many deliveries a consumer may have unsettled.

use amqp_wire::basic;

use crate::client::{Request, Turn};

/// Sets a limit, of the channel or of each consumer to come.
pub fn some(turn: &mut Turn<'_>) {
    let prefetch_count = *turn.random.pick(&[1, 2, 5, 50]);
    let global = turn.random.percent(30);
    turn.ask(Request::Prefetch, basic::Qos { prefetch_size: 0, prefetch_count, global });
}

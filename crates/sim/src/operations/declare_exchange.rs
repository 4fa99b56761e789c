//! Exchanges are declared.

use amqp_wire::exchange;

use crate::client::{Request, Turn, name};

/// Declares an exchange that nobody else depends on. Always in the same way, so that it is never refused.
pub fn own(turn: &mut Turn<'_>) {
    let exchange = any_exchange(turn);
    let kind = ["direct", "fanout", "topic", "headers"][usize::from(exchange.as_bytes()[4] - b'0')];
    let declare = exchange::Declare {
        exchange: name(&exchange),
        kind: name(kind),
        durable: exchange != "exch2",
        ..exchange::Declare::default()
    };
    turn.ask(Request::DeclareExchange(exchange), declare);
}

/// One of the exchanges that come and go.
pub fn any_exchange(turn: &mut Turn<'_>) -> String {
    format!("exch{}", turn.random.below(4))
}

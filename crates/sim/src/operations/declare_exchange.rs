//! Exchanges are declared.

use amqp_wire::exchange;

use crate::client::{Request, Turn, name};

/// The types of exchanges, each of the exchange with its number.
const KINDS: [&str; 4] = ["direct", "fanout", "topic", "headers"];

/// Declares an exchange that nobody else depends on. Always in the same way, so that it is never refused.
pub fn own(turn: &mut Turn<'_>) {
    let number = turn.random.index(KINDS.len());
    let (exchange, kind) = (format!("exch{number}"), KINDS[number]);
    let declare = exchange::Declare {
        exchange: name(&exchange),
        kind: name(kind),
        durable: exchange != "exch2",
        ..exchange::Declare::default()
    };
    turn.ask(Request::DeclareExchange(exchange), declare);
}

/// Asks whether an exchange is there: refused, if it is not.
pub fn passively(turn: &mut Turn<'_>) {
    let exchange = any_exchange(turn);
    let declare =
        exchange::Declare { exchange: name(&exchange), passive: true, ..exchange::Declare::default() };
    turn.ask(Request::DeclareExchange(exchange), declare);
}

/// Declares an exchange that only other exchanges may feed, and one that goes with its last binding.
pub fn special(turn: &mut Turn<'_>) {
    let internal = turn.random.percent(50);
    let exchange = if internal { "internal" } else { "fleeting" };
    let declare = exchange::Declare {
        exchange: name(exchange),
        kind: name("topic"),
        durable: true,
        internal,
        auto_delete: !internal,
        ..exchange::Declare::default()
    };
    turn.ask(Request::DeclareExchange(exchange.to_owned()), declare);
}

/// One of the exchanges that come and go.
pub fn any_exchange(turn: &mut Turn<'_>) -> String {
    match turn.random.below(10) {
        0 => "internal".to_owned(),
        1 => "fleeting".to_owned(),
        _ => format!("exch{}", turn.random.below(4)),
    }
}

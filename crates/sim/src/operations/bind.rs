//! Bindings of queues and exchanges, made and removed.

use amqp_wire::{Table, Value, exchange, queue};

use super::declare_exchange::any_exchange;
use super::declare_queue::any_queue;
use crate::client::{Request, Turn, name};

/// Binds a queue.
pub fn queue(turn: &mut Turn<'_>) {
    let (queue, exchange) = (any_queue(turn), any_exchange(turn));
    let (routing_key, arguments) = (any_key(turn), any_match(turn));
    let (queue, exchange, routing_key) = (name(&queue), name(&exchange), name(routing_key));
    turn.ask(Request::BindQueue, queue::Bind { queue, exchange, routing_key, no_wait: false, arguments });
}

/// Removes the binding of a queue.
pub fn unbind_queue(turn: &mut Turn<'_>) {
    let (queue, exchange) = (any_queue(turn), any_exchange(turn));
    let (routing_key, arguments) = (any_key(turn), any_match(turn));
    let (queue, exchange, routing_key) = (name(&queue), name(&exchange), name(routing_key));
    turn.ask(Request::UnbindQueue, queue::Unbind { queue, exchange, routing_key, arguments });
}

/// Binds an exchange to another.
pub fn exchange(turn: &mut Turn<'_>) {
    let (source, destination) = (any_exchange(turn), any_exchange(turn));
    let (routing_key, arguments) = (any_key(turn), any_match(turn));
    let (source, destination, routing_key) = (name(&source), name(&destination), name(routing_key));
    let bind = exchange::Bind { destination, source, routing_key, no_wait: false, arguments };
    turn.ask(Request::BindExchange, bind);
}

/// Removes such a binding.
pub fn unbind_exchange(turn: &mut Turn<'_>) {
    let (source, destination) = (any_exchange(turn), any_exchange(turn));
    let (routing_key, arguments) = (any_key(turn), any_match(turn));
    let (source, destination, routing_key) = (name(&source), name(&destination), name(routing_key));
    let unbind = exchange::Unbind { destination, source, routing_key, no_wait: false, arguments };
    turn.ask(Request::UnbindExchange, unbind);
}

/// A key that some bindings have.
pub fn any_key(turn: &mut Turn<'_>) -> &'static str {
    turn.random.pick::<&str>(&["", "a", "a.b", "*.b", "#", "a.#"])
}

/// What a headers exchange goes by; mostly nothing.
fn any_match(turn: &mut Turn<'_>) -> Table {
    match turn.random.percent(80) {
        true => Table::default(),
        false => [(name("x-match"), Value::text("any")), (name("kind"), Value::I32(1))].into_iter().collect(),
    }
}

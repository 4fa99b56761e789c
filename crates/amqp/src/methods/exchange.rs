//! Class exchange.

use amqp_wire::exchange::{Bind, Declare, Delete, Method, Unbind};
use broker::{Binding, DeclareExchange, Operation, Refusal};

use super::{Action, unimplemented_method};
use crate::names::without_line_ends;

pub(super) fn translate(method: Method) -> Result<Action, Refusal> {
    match method {
        Method::Declare(method) => Ok(declare(method)),
        Method::Delete(method) => Ok(delete(method)),
        Method::Bind(method) => Ok(bind(method)),
        Method::Unbind(method) => Ok(unbind(method)),
        Method::DeclareOk(_) | Method::DeleteOk(_) | Method::BindOk(_) | Method::UnbindOk(_) => {
            Err(unimplemented_method())
        }
    }
}

fn declare(method: Declare) -> Action {
    let Declare { exchange, kind, passive, durable, auto_delete, internal, no_wait, arguments } = method;
    let name = without_line_ends(exchange);
    let declare = DeclareExchange { name, kind, passive, durable, auto_delete, internal, arguments };
    Action::ask_unless(no_wait, Operation::DeclareExchange(declare))
}

fn delete(method: Delete) -> Action {
    let Delete { exchange, if_unused, no_wait } = method;
    Action::ask_unless(no_wait, Operation::DeleteExchange { name: without_line_ends(exchange), if_unused })
}

fn bind(method: Bind) -> Action {
    let Bind { destination, source, routing_key, no_wait, arguments } = method;
    let (source, destination) = (without_line_ends(source), without_line_ends(destination));
    let binding = Binding { source, destination, routing_key, arguments };
    Action::ask_unless(no_wait, Operation::BindExchange(binding))
}

fn unbind(method: Unbind) -> Action {
    let Unbind { destination, source, routing_key, no_wait, arguments } = method;
    let (source, destination) = (without_line_ends(source), without_line_ends(destination));
    let binding = Binding { source, destination, routing_key, arguments };
    Action::ask_unless(no_wait, Operation::UnbindExchange(binding))
}

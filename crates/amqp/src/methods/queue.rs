//! Class queue.

use amqp_wire::ShortString;
use amqp_wire::queue::{Bind, Declare, Delete, Method, Purge, Unbind};
use broker::{Binding, DeclareQueue, Operation, Refusal};
use field_table::Table;

use super::{Action, named_queue, unimplemented_method};
use crate::channel::Channel;
use crate::names::{Names, without_line_ends};

/// What the names of server-named queues begin with.
const GENERATED_PREFIX: &str = "amq.gen-";

pub(super) fn translate(method: Method, channel: &mut Channel, names: &mut Names) -> Result<Action, Refusal> {
    match method {
        Method::Declare(method) => Ok(declare(method, channel, names)),
        Method::Bind(method) => bind(method, channel),
        Method::Unbind(method) => unbind(method, channel),
        Method::Purge(method) => purge(method, channel),
        Method::Delete(method) => delete(method, channel),
        Method::DeclareOk(_)
        | Method::BindOk(_)
        | Method::PurgeOk(_)
        | Method::DeleteOk(_)
        | Method::UnbindOk(_) => Err(unimplemented_method()),
    }
}

/// An empty name asks for a generated one, unless it is only asked whether the queue is there: no queue has the empty
/// name. What is declared becomes the channel's last declared queue before the answer: clients need not wait for it.
fn declare(method: Declare, channel: &mut Channel, names: &mut Names) -> Action {
    let Declare { queue, passive, durable, exclusive, auto_delete, no_wait, arguments } = method;
    let given = without_line_ends(queue);
    let generated = given.is_empty() && !passive;
    let name = if generated { names.generate(GENERATED_PREFIX) } else { given };
    channel.last_declared_queue = name.clone();
    let declare = DeclareQueue { name, generated, passive, durable, exclusive, auto_delete, arguments };
    Action::ask_unless(no_wait, Operation::DeclareQueue(declare))
}

fn bind(method: Bind, channel: &Channel) -> Result<Action, Refusal> {
    let Bind { queue, exchange, routing_key, no_wait, arguments } = method;
    let binding = binding(queue, exchange, routing_key, arguments, channel)?;
    Ok(Action::ask_unless(no_wait, Operation::BindQueue(binding)))
}

fn unbind(method: Unbind, channel: &Channel) -> Result<Action, Refusal> {
    let Unbind { queue, exchange, routing_key, arguments } = method;
    let binding = binding(queue, exchange, routing_key, arguments, channel)?;
    Ok(Action::ask(Operation::UnbindQueue(binding)))
}

/// An empty key stands for the queue's name, but only where the queue's name is empty too.
fn binding(
    queue: ShortString,
    exchange: ShortString,
    routing_key: ShortString,
    arguments: Table,
    channel: &Channel,
) -> Result<Binding, Refusal> {
    let stands_for_queue = queue.is_empty() && routing_key.is_empty();
    let destination = without_line_ends(named_queue(queue, channel)?);
    let routing_key = if stands_for_queue { destination.clone() } else { routing_key };
    Ok(Binding { source: without_line_ends(exchange), destination, routing_key, arguments })
}

fn purge(method: Purge, channel: &Channel) -> Result<Action, Refusal> {
    let name = named_queue(method.queue, channel)?;
    Ok(Action::ask_unless(method.no_wait, Operation::PurgeQueue { name }))
}

fn delete(method: Delete, channel: &Channel) -> Result<Action, Refusal> {
    let Delete { queue, if_unused, if_empty, no_wait } = method;
    let name = without_line_ends(named_queue(queue, channel)?);
    Ok(Action::ask_unless(no_wait, Operation::DeleteQueue { name, if_unused, if_empty }))
}

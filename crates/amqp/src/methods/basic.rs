//! Class basic, but for the message path, which the channel takes itself.

use amqp_wire::ReplyCode;
use amqp_wire::basic::{Cancel, Consume, Get, Method, Qos};
use broker::{Operation, Refusal};

use super::{Action, named_queue, unimplemented_method};
use crate::channel::Channel;
use crate::names::Names;
use crate::refusal::front_end;
use crate::reply_to::{self, ReplyConsumer};

/// What generated consumer tags begin with.
const GENERATED_TAG_PREFIX: &str = "amq.ctag-";

pub(super) fn translate(method: Method, channel: &mut Channel, names: &mut Names) -> Result<Action, Refusal> {
    match method {
        Method::Qos(method) => qos(&method),
        Method::Consume(method) => consume(method, channel, names),
        Method::Cancel(method) => Ok(cancel(method, channel)),
        // What the client says to a cancel of ours.
        Method::CancelOk(_) => Ok(Action::Nothing),
        Method::Get(method) => get(method, channel),
        Method::Recover(method) => recover(method.requeue, false),
        Method::RecoverAsync(method) => recover(method.requeue, true),
        _ => Err(unimplemented_method()),
    }
}

fn qos(method: &Qos) -> Result<Action, Refusal> {
    let &Qos { prefetch_size, prefetch_count, global } = method;
    if prefetch_size != 0 {
        return Err(front_end(ReplyCode::NotImplemented, format!("prefetch_size!=0 ({prefetch_size})")));
    }
    Ok(Action::ask(Operation::SetPrefetch { count: prefetch_count, shared: global }))
}

fn consume(method: Consume, channel: &mut Channel, names: &mut Names) -> Result<Action, Refusal> {
    let Consume { queue, consumer_tag, no_ack, exclusive, no_wait, arguments, .. } = method;
    let tag = if consumer_tag.is_empty() { names.generate(GENERATED_TAG_PREFIX) } else { consumer_tag };
    let reply = reply_to::is_pseudo_queue(&queue).then(|| ReplyConsumer::new(tag.clone(), names));
    let reply_address = reply.as_ref().map(|reply| reply.address.clone());
    // A second one is refused, and the channel with it: nothing is lost by forgetting the first.
    channel.reply_consumer = reply.or_else(|| channel.reply_consumer.take());
    let queue = if reply_address.is_some() { queue } else { named_queue(queue, channel)? };
    let consume = broker::Consume { queue, tag, no_ack, exclusive, arguments, reply_address };
    Ok(Action::ask_unless(no_wait, Operation::Consume(consume)))
}

fn cancel(method: Cancel, channel: &mut Channel) -> Action {
    let Cancel { consumer_tag, no_wait } = method;
    channel.reply_consumer.take_if(|reply| reply.consumer_tag == consumer_tag);
    Action::ask_unless(no_wait, Operation::Cancel { tag: consumer_tag })
}

fn get(method: Get, channel: &Channel) -> Result<Action, Refusal> {
    let queue = named_queue(method.queue, channel)?;
    Ok(Action::ask(Operation::Get { queue, no_ack: method.no_ack }))
}

fn recover(requeue: bool, is_silent: bool) -> Result<Action, Refusal> {
    if !requeue {
        return Err(front_end(ReplyCode::NotImplemented, "requeue=false"));
    }
    Ok(Action::ask_unless(is_silent, Operation::Recover))
}

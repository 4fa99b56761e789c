//! What the broker wants told: effects to frames.

use amqp_wire::hot::{self, Content, Delivery, GetAnswer, ReturnedMessage};
use amqp_wire::{
    Method, MethodArguments, ReplyCode, Scope, access, basic, channel, confirm, connection, exchange, queue,
    tx,
};
use broker::{Answer, Command, Effect, Envelope, Refusal, RequestTag, Timestamp};
use field_table::ShortString;

use crate::channel::{Channel, ChannelPhase};
use crate::connection::{Connection, Turn};
use crate::methods::access::TICKET;
use crate::phase::Phase;
use crate::refusal;
use crate::request::RequestOrigin;
use crate::task::delivered_properties;

/// Why publishes are not taken, in RabbitMQ's words.
const BLOCKED_REASON: &str = "low on disk";

impl Connection {
    /// Writes an effect of the broker: of a channel, or of the connection when `channel` is `None`.
    ///
    /// Effects have to come in the order in which the broker released them. Those that a closed channel or
    /// connection has no more use for are dropped.
    pub fn effect(
        &mut self,
        now: Timestamp,
        channel: Option<u16>,
        effect: Effect<Envelope>,
        commands: &mut Vec<Command>,
        output: &mut Vec<u8>,
    ) {
        // Also what is dropped here has left the broker's window.
        self.delivered_bytes += envelope(&effect).map_or(0, |envelope| envelope.stored_bytes() as u64);
        let output_start = output.len();
        let mut turn = Turn { now, commands, output };
        match (self.phase, channel) {
            (Phase::Leaving { .. }, None) if effect == Effect::Disconnected => self.left(now, turn.output),
            (Phase::Running, Some(number)) => self.channel_effect(&mut turn, number, effect),
            (Phase::Running, None) if self.client.capabilities.connection_blocked => {
                block(&effect, turn.output);
            }
            _ => {}
        }
        if turn.output.len() > output_start {
            self.heartbeat.sent(now);
        }
    }

    fn channel_effect(&mut self, turn: &mut Turn<'_>, number: u16, effect: Effect<Envelope>) {
        let Some(channel) = self.channels.get_mut(number) else { return };
        match effect {
            Effect::Answered { request, answer: Answer::SessionOpened } => {
                opened(channel, request, turn.output)
            }
            Effect::Answered { request, answer: Answer::SessionClosed } => {
                self.session_closed(turn, number, request)
            }
            Effect::Refused { request, refusal } => self.refused(turn, number, request, &refusal),
            effect if channel.is_opened && channel.phase != ChannelPhase::Closing => {
                let frame_max = self.limits.frame_max;
                let is_told_of_cancels = self.client.capabilities.consumer_cancel_notify;
                write(channel, effect, frame_max, is_told_of_cancels, turn.output);
            }
            _ => {}
        }
    }

    fn session_closed(&mut self, turn: &mut Turn<'_>, number: u16, request: RequestTag) {
        let request = RequestOrigin::from(request);
        if request.is_silent {
            return;
        }
        Method::from(channel::CloseOk {}).encode_frame(turn.output, number);
        let is_of = |channel: &mut Channel| {
            channel.generation() == request.generation && channel.phase == ChannelPhase::Leaving
        };
        if self.channels.get_mut(number).is_some_and(is_of) {
            self.channels.remove(number);
        }
    }

    fn refused(&mut self, turn: &mut Turn<'_>, number: u16, request: RequestTag, refusal: &Refusal) {
        let request = RequestOrigin::from(request);
        let failure = refusal::failure(refusal, &self.client.vhost).of(request.method);
        if failure.code.scope() == Scope::Connection {
            self.close_with(turn, failure);
            return;
        }
        failure.channel_close().encode_frame(turn.output, number);
        let Some(channel) = self.channels.get_mut(number) else { return };
        // Where the client's own close is on its way, that one counts and ends the channel.
        if channel.generation() == request.generation && channel.phase == ChannelPhase::Open {
            channel.refuse(&mut self.half_read);
        }
    }
}

/// The whole message that an effect carries.
fn envelope(effect: &Effect<Envelope>) -> Option<&Envelope> {
    match effect {
        Effect::Replied { envelope, .. } | Effect::Returned { envelope } => Some(envelope),
        effect => effect.message(),
    }
}

/// Tells a client whether its publishes are taken.
fn block(effect: &Effect<Envelope>, output: &mut Vec<u8>) {
    let method = match effect {
        Effect::Blocked => {
            Method::from(connection::Blocked { reason: ShortString::from_static(BLOCKED_REASON) })
        }
        Effect::Unblocked => connection::Unblocked {}.into(),
        _ => return,
    };
    method.encode_frame(output, 0);
}

fn opened(channel: &mut Channel, request: RequestTag, output: &mut Vec<u8>) {
    if RequestOrigin::from(request).generation == channel.generation() {
        channel.is_opened = true;
    }
    Method::from(channel::OpenOk {}).encode_frame(output, channel.number());
}

/// Writes what needs no change of the channel's phase.
fn write(
    channel: &mut Channel,
    effect: Effect<Envelope>,
    frame_max: u32,
    is_told_of_cancels: bool,
    output: &mut Vec<u8>,
) {
    let number = channel.number();
    match effect {
        Effect::Deliver { consumer_tag, delivery_tag, redelivered, task, message: envelope } => {
            let delivery = delivery(&consumer_tag, delivery_tag, redelivered, &envelope);
            let properties = delivered_properties(&envelope, task.as_deref());
            let content = Content { properties: &properties, body: envelope.body() };
            hot::deliver(output, number, frame_max, &delivery, content);
        }
        Effect::RepliedAgain { consumer_tag, delivery_tag, reply, state, message: envelope } => {
            let (exchange, routing_key) = (&b""[..], reply.address.as_bytes());
            let (consumer_tag, redelivered) = (&consumer_tag[..], true);
            let delivery = Delivery { consumer_tag, delivery_tag, redelivered, exchange, routing_key };
            let properties = reply.reply_properties(envelope.properties(), state);
            let content = Content { properties: &properties, body: envelope.body() };
            hot::deliver(output, number, frame_max, &delivery, content);
        }
        Effect::Replied { consumer_tag, delivery_tag, envelope } => {
            let delivery = delivery(&consumer_tag, delivery_tag, false, &envelope);
            hot::deliver(output, number, frame_max, &delivery, content(&envelope));
        }
        Effect::Got { delivery_tag, redelivered, remaining, task, message: envelope, .. } => {
            let answer = GetAnswer {
                delivery_tag,
                redelivered,
                exchange: envelope.exchange(),
                routing_key: envelope.routing_key(),
                message_count: count(remaining),
            };
            let properties = delivered_properties(&envelope, task.as_deref());
            let content = Content { properties: &properties, body: envelope.body() };
            hot::get_ok(output, number, frame_max, &answer, content);
        }
        Effect::Returned { envelope } => {
            let returned = ReturnedMessage {
                reply_code: ReplyCode::NoRoute,
                reply_text: ReplyCode::NoRoute.name().as_bytes(),
                exchange: envelope.exchange(),
                routing_key: envelope.routing_key(),
            };
            hot::basic_return(output, number, frame_max, &returned, content(&envelope));
        }
        Effect::Confirmed { up_to } => channel.confirm(up_to, output),
        Effect::Rejected { sequence } => channel.reject(sequence, output),
        Effect::ConsumerCancelled { consumer_tag } => {
            if is_told_of_cancels {
                Method::from(basic::Cancel { consumer_tag, no_wait: true }).encode_frame(output, number);
            }
        }
        Effect::Answered { request, answer } => {
            let request = RequestOrigin::from(request);
            if let Some(method) = method(answer, request).filter(|_| !request.is_silent) {
                method.encode_frame(output, number);
            }
        }
        Effect::Refused { .. }
        | Effect::Blocked
        | Effect::Unblocked
        | Effect::Disconnected
        | Effect::Task { .. }
        | Effect::Leased { .. } => {}
    }
}

fn delivery<'a>(
    consumer_tag: &'a [u8],
    delivery_tag: u64,
    redelivered: bool,
    envelope: &'a Envelope,
) -> Delivery<'a> {
    let (exchange, routing_key) = (envelope.exchange(), envelope.routing_key());
    Delivery { consumer_tag, delivery_tag, redelivered, exchange, routing_key }
}

fn content(envelope: &Envelope) -> Content<'_> {
    Content { properties: envelope.properties(), body: envelope.body() }
}

/// The method that gives a positive answer; none for what a channel cannot ask.
fn method(answer: Answer, request: RequestOrigin) -> Option<Method> {
    Some(match answer {
        Answer::Echoed if request.method == access::Request::SPEC.id => {
            access::RequestOk { ticket: TICKET }.into()
        }
        Answer::Echoed => channel::FlowOk { active: true }.into(),
        Answer::SessionOpened => channel::OpenOk {}.into(),
        Answer::SessionClosed => channel::CloseOk {}.into(),
        Answer::ExchangeDeclared => exchange::DeclareOk {}.into(),
        Answer::ExchangeDeleted => exchange::DeleteOk {}.into(),
        Answer::ExchangeBound => exchange::BindOk {}.into(),
        Answer::ExchangeUnbound => exchange::UnbindOk {}.into(),
        Answer::QueueDeclared { name, messages, consumers } => {
            let (message_count, consumer_count) = (count(messages), count(consumers));
            queue::DeclareOk { queue: name, message_count, consumer_count }.into()
        }
        Answer::QueueBound => queue::BindOk {}.into(),
        Answer::QueueUnbound => queue::UnbindOk {}.into(),
        Answer::QueuePurged { messages } => queue::PurgeOk { message_count: count(messages) }.into(),
        Answer::QueueDeleted { messages } => queue::DeleteOk { message_count: count(messages) }.into(),
        Answer::PrefetchSet => basic::QosOk {}.into(),
        Answer::ConsumerStarted { tag } => basic::ConsumeOk { consumer_tag: tag }.into(),
        Answer::ConsumerStopped { tag } => basic::CancelOk { consumer_tag: tag }.into(),
        Answer::GetEmpty => basic::GetEmpty {}.into(),
        Answer::Recovered => basic::RecoverOk {}.into(),
        Answer::ConfirmSelected => confirm::SelectOk {}.into(),
        Answer::TransactionSelected => tx::SelectOk {}.into(),
        Answer::Committed => tx::CommitOk {}.into(),
        Answer::RolledBack => tx::RollbackOk {}.into(),
        Answer::Queue(_)
        | Answer::Published { .. }
        | Answer::Enqueued { .. }
        | Answer::Cancelled(_)
        | Answer::LeasesGranted { .. }
        | Answer::LeaseExtended { .. }
        | Answer::Settled(_) => return None,
    })
}

/// A count as wide as the wire has it. Queues may be deeper.
fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

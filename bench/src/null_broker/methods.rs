//! The methods that are no publishes: what each is answered with.

use amqp_wire::{Method, ShortString, basic, channel, confirm, connection, exchange, queue};
use anyhow::{Result, bail};

use super::broker::State;
use super::channel::Channel;
use super::connection::{Connection, FRAME_MAX};
use super::consumer::Consumer;

const CHANNEL_MAX: u16 = 2047;

impl Connection {
    /// Carries a method out and answers it, unless the client wants no answer.
    pub(super) fn on_method(&mut self, number: u16, method: Method, state: &mut State) -> Result<()> {
        let answer = match method {
            Method::Connection(method) => self.on_connection_method(method)?,
            Method::Channel(method) => self.on_channel_method(number, method, state)?,
            Method::Queue(method) => on_queue_method(method, state)?,
            Method::Basic(method) => return self.on_basic_method(number, method, state),
            Method::Exchange(exchange::Method::Declare(declare)) => {
                answer_unless(declare.no_wait, exchange::DeclareOk {})
            }
            Method::Confirm(confirm::Method::Select(select)) => {
                self.channel(number)?.has_confirms = true;
                answer_unless(select.no_wait, confirm::SelectOk {})
            }
            other => return refuse(&other),
        };
        self.answer(number, answer, state);
        Ok(())
    }

    fn answer(&self, number: u16, answer: Option<Method>, state: &mut State) {
        if let Some(answer) = answer {
            self.outbox.answer(number, &answer, &mut state.pool);
        }
    }

    fn on_connection_method(&mut self, method: connection::Method) -> Result<Option<Method>> {
        let answer = match method {
            connection::Method::StartOk(_) => {
                connection::Tune { channel_max: CHANNEL_MAX, frame_max: FRAME_MAX, heartbeat: 0 }.into()
            }
            connection::Method::TuneOk(tune) => {
                self.frame_max = if tune.frame_max == 0 { FRAME_MAX } else { tune.frame_max.min(FRAME_MAX) };
                return Ok(None);
            }
            connection::Method::Open(_) => connection::OpenOk {}.into(),
            connection::Method::Close(_) => {
                self.is_ending = true;
                connection::CloseOk {}.into()
            }
            other => return refuse(&Method::Connection(other)),
        };
        Ok(Some(answer))
    }

    fn on_channel_method(
        &mut self,
        number: u16,
        method: channel::Method,
        state: &mut State,
    ) -> Result<Option<Method>> {
        match method {
            channel::Method::Open(_) => {
                if number == 0 || number > CHANNEL_MAX {
                    bail!("there is no channel {number}");
                }
                let at = usize::from(number);
                self.channels.resize_with(self.channels.len().max(at + 1), || None);
                self.channels[at] = Some(Channel::default());
                Ok(Some(channel::OpenOk {}.into()))
            }
            channel::Method::Close(_) => {
                self.channel(number)?;
                self.channels[usize::from(number)] = None;
                state.remove_consumers(|consumer| self.owns(consumer, number));
                Ok(Some(channel::CloseOk {}.into()))
            }
            other => refuse(&Method::Channel(other)),
        }
    }

    fn on_basic_method(&mut self, number: u16, method: basic::Method, state: &mut State) -> Result<()> {
        let answer = match method {
            // Deliveries are forgotten when they are sent.
            basic::Method::Ack(_) => None,
            basic::Method::Qos(_) => Some(basic::QosOk {}.into()),
            basic::Method::Consume(consume) => return self.consume(number, consume, state),
            basic::Method::Cancel(basic::Cancel { consumer_tag, no_wait }) => {
                state
                    .remove_consumers(|consumer| self.owns(consumer, number) && consumer.tag == consumer_tag);
                answer_unless(no_wait, basic::CancelOk { consumer_tag })
            }
            other => return refuse(&Method::Basic(other)),
        };
        self.answer(number, answer, state);
        Ok(())
    }

    fn consume(&mut self, number: u16, consume: basic::Consume, state: &mut State) -> Result<()> {
        let tag = name_or(consume.consumer_tag, "amq.ctag-null");
        let deliveries = self.channel(number)?.deliveries.clone();
        // The answer comes before the first delivery.
        self.answer(
            number,
            answer_unless(consume.no_wait, basic::ConsumeOk { consumer_tag: tag.clone() }),
            state,
        );
        let (outbox, frame_max) = (self.outbox.clone(), self.frame_max);
        state.add_consumer(Consumer { outbox, channel: number, tag, frame_max, deliveries });
        Ok(())
    }

    fn owns(&self, consumer: &Consumer, number: u16) -> bool {
        std::rc::Rc::ptr_eq(&consumer.outbox, &self.outbox) && consumer.channel == number
    }
}

fn on_queue_method(method: queue::Method, state: &mut State) -> Result<Option<Method>> {
    match method {
        queue::Method::Declare(declare) => {
            let queue = name_or(declare.queue, "amq.gen-null");
            let consumer_count = state.consumer_count() as u32;
            let answer = queue::DeclareOk { queue, message_count: 0, consumer_count };
            Ok(answer_unless(declare.no_wait, answer))
        }
        queue::Method::Bind(bind) => Ok(answer_unless(bind.no_wait, queue::BindOk {})),
        queue::Method::Delete(delete) => {
            state.clear();
            Ok(answer_unless(delete.no_wait, queue::DeleteOk { message_count: 0 }))
        }
        other => refuse(&Method::Queue(other)),
    }
}

fn name_or(name: ShortString, default: &'static str) -> ShortString {
    if name.as_bytes().is_empty() { ShortString::from_static(default) } else { name }
}

fn answer_unless(no_wait: bool, answer: impl Into<Method>) -> Option<Method> {
    (!no_wait).then(|| answer.into())
}

fn refuse<T>(method: &Method) -> Result<T> {
    bail!("{} is not served here", method.name())
}

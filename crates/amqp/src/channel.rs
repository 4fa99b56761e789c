//! One channel: which frame may come when, and what becomes of it.

use amqp_wire::hot::{self, HotMethod, PublishView};
use amqp_wire::{
    ContentHeader, Frame, FrameKind, FrameScanner, Method, MethodArguments, MethodId, ReplyCode, ShortString,
    basic, channel,
};
use broker::{Command, ConnectionId, Operation, Outcome, SessionId};
use bytes::Bytes;

use crate::Settings;
use crate::client::Client;
use crate::connection::Turn;
use crate::content::{self, Assembled, Assembly, Content, HalfRead};
use crate::error::Failure;
use crate::methods::{self, Action};
use crate::names::Names;
use crate::publish::{self, Parts};
use crate::reply_to::ReplyConsumer;
use crate::request::RequestOrigin;

/// A channel's state on the connection's side; consumers, deliveries and confirms are the broker's.
#[derive(Debug)]
pub(crate) struct Channel {
    number: u16,
    generation: u32,
    pub(crate) phase: ChannelPhase,
    /// The broker has opened it: what comes from now on is meant for this generation.
    pub(crate) is_opened: bool,
    /// The last publish that was confirmed or refused.
    pub(crate) confirmed_up_to: u64,
    /// What an empty queue name stands for; empty before the first declaration.
    pub(crate) last_declared_queue: ShortString,
    pub(crate) reply_consumer: Option<ReplyConsumer>,
    content: Content,
}

/// Where a channel stands.
///
/// ```text
/// Open ── client's close ──▶ Leaving ── the broker has let go: close-ok ──▶ gone
///   └──── refused: close ──▶ Closing ── client's close-ok ──▶ gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelPhase {
    /// In use, from the moment that `channel.open` was read.
    Open,
    /// The client has closed it, and `close-ok` follows.
    Leaving,
    /// We have closed it. All but `close` and `close-ok` is ignored.
    Closing,
}

/// What a frame means for the channel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays taken.
    Stays,
    /// It is free.
    Gone,
    /// It is taken by a new channel.
    Reopens,
}

/// What a channel needs of its connection while it works on a frame.
pub(crate) struct ChannelContext<'a, 'b> {
    pub(crate) turn: &'a mut Turn<'b>,
    pub(crate) connection: ConnectionId,
    pub(crate) names: &'a mut Names,
    pub(crate) client: &'a Client,
    pub(crate) settings: &'a Settings,
    pub(crate) half_read: &'a mut HalfRead,
}

impl Channel {
    pub(crate) fn new(number: u16, generation: u32) -> Self {
        Self {
            number,
            generation,
            phase: ChannelPhase::Open,
            is_opened: false,
            confirmed_up_to: 0,
            last_declared_queue: ShortString::default(),
            reply_consumer: None,
            content: Content::None,
        }
    }

    /// Its number on the connection.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Tells it from others that had or will have its number.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes a frame that `scanner` has just found in `chunk`. May take the frames of the message's content from
    /// the scanner as well.
    ///
    /// # Errors
    /// What ends the whole connection.
    pub(crate) fn frame(
        &mut self,
        context: &mut ChannelContext<'_, '_>,
        chunk: &Bytes,
        scanner: &mut FrameScanner<'_>,
        frame: &Frame,
    ) -> Result<Fate, Failure> {
        let payload = scanner.payload(frame);
        match self.phase {
            ChannelPhase::Open => self.open_frame(context, chunk, scanner, frame).map(|()| Fate::Stays),
            ChannelPhase::Leaving => Ok(self.frame_while_leaving(frame, payload)),
            ChannelPhase::Closing => Ok(self.frame_while_closing(context, frame, payload)),
        }
    }

    /// Hands an operation to the broker.
    #[inline]
    pub(crate) fn submit(
        &self,
        context: &mut ChannelContext<'_, '_>,
        method: MethodId,
        is_silent: bool,
        operation: Operation,
    ) {
        let session = SessionId { connection: context.connection, channel: self.number };
        let request = RequestOrigin { method, is_silent, generation: self.generation }.tag();
        context.turn.commands.push(Command::Session { session, request, operation });
    }

    fn open_frame(
        &mut self,
        context: &mut ChannelContext<'_, '_>,
        chunk: &Bytes,
        scanner: &mut FrameScanner<'_>,
        frame: &Frame,
    ) -> Result<(), Failure> {
        let payload = scanner.payload(frame);
        let half_read_before = self.content.half_read_bytes();
        match (std::mem::take(&mut self.content), frame.kind) {
            (Content::None, FrameKind::Method) => self.method(context, chunk, scanner, frame),
            (Content::None, _) => Err(content::expected_method()),
            (Content::Header(mut assembly), FrameKind::Header) => {
                assembly.header(payload, context.settings)?;
                self.go_on(context, assembly);
                Ok(())
            }
            (Content::Header(_), _) => Err(content::expected_header()),
            (Content::Body(mut assembly), FrameKind::Body) => {
                assembly.body(payload)?;
                self.go_on(context, assembly);
                context.half_read.change(half_read_before, self.content.half_read_bytes());
                context.half_read.check(context.settings)
            }
            (Content::Body(_), _) => Err(content::expected_body()),
        }
    }

    fn method(
        &mut self,
        context: &mut ChannelContext<'_, '_>,
        chunk: &Bytes,
        scanner: &mut FrameScanner<'_>,
        frame: &Frame,
    ) -> Result<(), Failure> {
        let payload = scanner.payload(frame);
        match HotMethod::parse(payload).map_err(|error| Failure::of_method(&error, payload))? {
            HotMethod::Publish(view) => {
                if !self.publish_in_one_piece(context, chunk, scanner, frame, &view) {
                    self.content = Content::Header(Box::new(Assembly::new(&view, payload)));
                }
            }
            HotMethod::Ack(basic::Ack { delivery_tag, multiple }) => {
                self.settle(context, basic::Ack::SPEC.id, delivery_tag, multiple, Outcome::Acknowledged);
            }
            HotMethod::Nack(basic::Nack { delivery_tag, multiple, requeue }) => {
                self.settle(context, basic::Nack::SPEC.id, delivery_tag, multiple, unwanted(requeue));
            }
            HotMethod::Reject(basic::Reject { delivery_tag, requeue }) => {
                self.settle(context, basic::Reject::SPEC.id, delivery_tag, false, unwanted(requeue));
            }
            HotMethod::Other => return self.other_method(context, payload),
        }
        Ok(())
    }

    /// Takes a publish whose content lies whole in the same read: no copy, no allocation. False when it does not, or
    /// when something is wrong with it; then the frames are taken one by one, which also finds what is wrong.
    fn publish_in_one_piece(
        &self,
        context: &mut ChannelContext<'_, '_>,
        chunk: &Bytes,
        scanner: &mut FrameScanner<'_>,
        method: &Frame,
        view: &PublishView,
    ) -> bool {
        let mut ahead = scanner.clone();
        let Some(header_frame) = self.next_of(&mut ahead, FrameKind::Header) else { return false };
        let Ok(header) = content::checked_header(ahead.payload(&header_frame)) else { return false };
        let Some(body) = self.body_in_one_frame(&mut ahead, &header, context.settings) else { return false };
        *scanner = ahead;
        let properties_start = header_frame.payload.end - header.properties.as_bytes().len();
        let within = |range: &std::ops::Range<usize>| {
            method.payload.start + range.start..method.payload.start + range.end
        };
        let parts = Parts {
            exchange: within(&view.exchange),
            routing_key: within(&view.routing_key),
            properties: properties_start..header_frame.payload.end,
            body,
            mandatory: view.mandatory,
            immediate: view.immediate,
        };
        self.publish(context, chunk.clone(), parts);
        true
    }

    fn body_in_one_frame(
        &self,
        ahead: &mut FrameScanner<'_>,
        header: &ContentHeader<'_>,
        settings: &Settings,
    ) -> Option<std::ops::Range<usize>> {
        if header.body_bytes == 0 {
            return Some(0..0);
        }
        let body = self.next_of(ahead, FrameKind::Body)?.payload;
        (body.len() as u64 == header.body_bytes && header.body_bytes <= settings.message_bytes_max)
            .then_some(body)
    }

    /// The next frame, if it is of this channel and kind.
    fn next_of(&self, ahead: &mut FrameScanner<'_>, kind: FrameKind) -> Option<Frame> {
        let frame = ahead.next_frame().ok()??;
        (frame.channel == self.number && frame.kind == kind).then_some(frame)
    }

    #[inline]
    fn publish(&self, context: &mut ChannelContext<'_, '_>, bytes: Bytes, parts: Parts) {
        let operation = publish::operation(bytes, parts, self.reply_consumer.as_ref(), context.client);
        self.submit(context, basic::Publish::SPEC.id, false, operation);
    }

    /// Goes on with a publish that comes in pieces, after one more piece.
    fn go_on(&mut self, context: &mut ChannelContext<'_, '_>, assembly: Box<Assembly>) {
        if !assembly.is_whole() {
            self.content = Content::Body(assembly);
            return;
        }
        match assembly.finish() {
            Assembled::Message(bytes, parts) => self.publish(context, bytes, parts),
            Assembled::TooLarge { body_bytes } => {
                let operation = publish::too_large(body_bytes, context.settings);
                self.submit(context, basic::Publish::SPEC.id, false, operation);
            }
        }
    }

    fn settle(
        &self,
        context: &mut ChannelContext<'_, '_>,
        method: MethodId,
        delivery_tag: u64,
        multiple: bool,
        outcome: Outcome,
    ) {
        self.submit(context, method, false, Operation::Settle { delivery_tag, multiple, outcome });
    }

    fn other_method(&mut self, context: &mut ChannelContext<'_, '_>, payload: &[u8]) -> Result<(), Failure> {
        let method = Method::decode(payload).map_err(|error| Failure::of_method(&error, payload))?;
        let id = method.id();
        match method {
            Method::Channel(channel::Method::Open(_)) => {
                return Err(Failure::new(ReplyCode::ChannelError, "second 'channel.open' seen").of(id));
            }
            Method::Channel(channel::Method::Close(_)) => {
                self.submit(context, id, false, Operation::CloseSession);
                self.phase = ChannelPhase::Leaving;
            }
            // The answer to a close of ours that has met the client's own.
            Method::Channel(channel::Method::CloseOk(_)) => {}
            method => self.act(context, id, method),
        }
        Ok(())
    }

    fn act(&mut self, context: &mut ChannelContext<'_, '_>, id: MethodId, method: Method) {
        match methods::translate(method, self, context.names) {
            Ok(Action::Submit { operation, is_silent }) => self.submit(context, id, is_silent, operation),
            Ok(Action::Nothing) => {}
            Err(refusal) => self.submit(context, id, false, Operation::Refuse(Box::new(refusal))),
        }
    }

    /// Late methods of a channel that the client has closed are ignored. Its number may be used again at once: the
    /// broker takes the new opening after the closing.
    fn frame_while_leaving(&self, frame: &Frame, payload: &[u8]) -> Fate {
        match method_id(frame, payload) {
            Some(id) if id == channel::Open::SPEC.id => Fate::Reopens,
            _ => Fate::Stays,
        }
    }

    fn frame_while_closing(
        &self,
        context: &mut ChannelContext<'_, '_>,
        frame: &Frame,
        payload: &[u8],
    ) -> Fate {
        match method_id(frame, payload) {
            Some(id) if id == channel::CloseOk::SPEC.id => {
                self.submit(context, id, true, Operation::CloseSession);
                Fate::Gone
            }
            Some(id) if id == channel::Close::SPEC.id => {
                Method::from(channel::CloseOk {}).encode_frame(context.turn.output, self.number);
                Fate::Stays
            }
            _ => Fate::Stays,
        }
    }

    /// The channel is refused: it waits for the client's `close-ok`, and what it has read of a message goes.
    pub(crate) fn refuse(&mut self, half_read: &mut HalfRead) {
        self.phase = ChannelPhase::Closing;
        half_read.change(std::mem::take(&mut self.content).half_read_bytes(), 0);
    }

    /// Writes a confirm of all publishes after the last one up to `up_to`.
    pub(crate) fn confirm(&mut self, up_to: u64, output: &mut Vec<u8>) {
        let multiple = up_to > self.confirmed_up_to + 1;
        self.confirmed_up_to = up_to;
        hot::ack(output, self.number, up_to, multiple);
    }

    /// Writes the refusal of one publish.
    pub(crate) fn reject(&mut self, sequence: u64, output: &mut Vec<u8>) {
        self.confirmed_up_to = sequence;
        hot::nack(output, self.number, sequence, false, false);
    }
}

/// The id of a method frame.
pub(crate) fn method_id(frame: &Frame, payload: &[u8]) -> Option<MethodId> {
    let [a, b, c, d] = *payload.first_chunk()?;
    let id = MethodId { class_id: u16::from_be_bytes([a, b]), method_id: u16::from_be_bytes([c, d]) };
    (frame.kind == FrameKind::Method).then_some(id)
}

fn unwanted(requeue: bool) -> Outcome {
    if requeue { Outcome::Requeued } else { Outcome::Discarded }
}

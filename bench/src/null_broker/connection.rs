//! One client: what is read from it, and what is written to it.

use std::rc::Rc;

use amqp_wire::{FrameKind, FrameScanner, Method, ProtocolHeader, connection};
use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::broker::{Broker, State};
use super::channel::Channel;
use super::message::Message;
use super::outbox::Outbox;
use super::segments::is_handed_over;
use super::staged::Stage;

/// The frame size in bytes that is offered, and that is read whatever the client takes.
pub(super) const FRAME_MAX: u32 = 131_072;

/// The reading side of a client, and what is known of it.
pub(super) struct Connection {
    broker: Rc<Broker>,
    pub(super) outbox: Rc<Outbox>,
    input: Vec<u8>,
    has_greeted: bool,
    /// The frame size in bytes that the client takes.
    pub(super) frame_max: u32,
    /// By number.
    pub(super) channels: Vec<Option<Channel>>,
    /// Numbers of channels with publishes of this read to confirm.
    touched: Vec<u16>,
    /// It has published: it waits while too much is under way to consumers.
    is_publisher: bool,
    /// The client has said goodbye.
    pub(super) is_ending: bool,
}

/// What one read held.
struct Understood {
    /// Bytes from the front that need not be looked at again.
    consumed_bytes: usize,
    /// What the confirms of its publishes wait for.
    stage: Stage,
    /// Some message has to become durable.
    is_persistent: bool,
}

impl Connection {
    /// Serves a client to its end.
    pub(super) async fn serve(broker: Rc<Broker>, stream: TcpStream) -> Result<()> {
        let (reader, writer) = stream.into_split();
        let outbox = Rc::new(Outbox::new(Rc::clone(&broker.pressure)));
        broker.state().add_outbox(Rc::clone(&outbox));
        let outcome = Self::new(&broker, &outbox).run(reader, writer).await;
        broker.state().remove_outbox(&outbox);
        outcome
    }

    fn new(broker: &Rc<Broker>, outbox: &Rc<Outbox>) -> Self {
        Self {
            broker: Rc::clone(broker),
            outbox: Rc::clone(outbox),
            input: broker.state().pool.take(),
            has_greeted: false,
            frame_max: FRAME_MAX,
            channels: Vec::new(),
            touched: Vec::new(),
            is_publisher: false,
            is_ending: false,
        }
    }

    async fn run(mut self, reader: OwnedReadHalf, writer: OwnedWriteHalf) -> Result<()> {
        let (broker, outbox) = (Rc::clone(&self.broker), Rc::clone(&self.outbox));
        let mut writing = std::pin::pin!(write(&broker, &outbox, writer));
        tokio::select! {
            outcome = self.read(reader) => {
                outbox.close();
                outcome?;
                writing.await
            }
            outcome = &mut writing => outcome,
        }
    }

    async fn read(&mut self, mut reader: OwnedReadHalf) -> Result<()> {
        while !self.is_ending {
            if self.is_publisher {
                self.broker.pressure.wait().await;
            }
            if self.input.len() == self.input.capacity() {
                self.input.reserve(self.input.len());
            }
            if reader.read_buf(&mut self.input).await.context("cannot read")? == 0 {
                break;
            }
            self.on_input()?;
        }
        Ok(())
    }

    fn on_input(&mut self) -> Result<()> {
        let input = std::mem::take(&mut self.input);
        let broker = Rc::clone(&self.broker);
        let mut state = broker.state();
        let understood = self.understand(&input, &mut state)?;
        self.confirm(understood.stage, &mut state);
        if understood.stage == Stage::Collecting {
            broker.batch_started.notify_one();
        } else if self.is_publisher {
            state.wake_consumers();
        }
        self.input = keep_rest(input, &understood, &mut state);
        Ok(())
    }

    fn understand(&mut self, input: &[u8], state: &mut State) -> Result<Understood> {
        let start = if self.has_greeted { 0 } else { self.greet(input, state)? };
        let mut understood = Understood { consumed_bytes: start, stage: Stage::Ready, is_persistent: false };
        if !self.has_greeted {
            return Ok(understood);
        }
        while !self.is_ending {
            let rest = &input[understood.consumed_bytes..];
            let bytes = match Message::read(rest) {
                Some(message) => {
                    understood.is_persistent |= message.is_persistent;
                    if self.publish(&message, state)? == Stage::Collecting {
                        understood.stage = Stage::Collecting;
                    }
                    message.frames.len()
                }
                None => self.on_frame(rest, state)?,
            };
            if bytes == 0 {
                break;
            }
            understood.consumed_bytes += bytes;
        }
        Ok(understood)
    }

    /// Answers the protocol header when it is there; returns its length.
    fn greet(&mut self, input: &[u8], state: &mut State) -> Result<usize> {
        let Some(header) = input.first_chunk() else { return Ok(0) };
        if !ProtocolHeader::parse(header).is_accepted() {
            bail!("no client of AMQP 0-9-1");
        }
        self.has_greeted = true;
        let start = connection::Start {
            version_minor: 9,
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
            ..Default::default()
        };
        self.outbox.answer(0, &start.into(), &mut state.pool);
        Ok(header.len())
    }

    fn publish(&mut self, message: &Message<'_>, state: &mut State) -> Result<Stage> {
        self.is_publisher = true;
        let stage = state.publish(message);
        let channel = self.channel(message.channel)?;
        if channel.has_confirms {
            channel.published += 1;
            if !std::mem::replace(&mut channel.is_touched, true) {
                self.touched.push(message.channel);
            }
        }
        Ok(stage)
    }

    /// The open channel of this number.
    pub(super) fn channel(&mut self, number: u16) -> Result<&mut Channel> {
        let channel = self.channels.get_mut(usize::from(number)).and_then(Option::as_mut);
        channel.with_context(|| format!("channel {number} is not open"))
    }

    /// Carries out the frame at the front of `input`, which starts no whole message; returns its length, or 0 when the
    /// rest is still to come.
    fn on_frame(&mut self, input: &[u8], state: &mut State) -> Result<usize> {
        let mut scanner = FrameScanner::new(input, FRAME_MAX);
        let Some(frame) = scanner.next_frame()? else { return Ok(0) };
        match frame.kind {
            FrameKind::Method if Message::check(&mut scanner, &frame)? => return Ok(0),
            FrameKind::Method => {
                self.on_method(frame.channel, Method::decode(scanner.payload(&frame))?, state)?;
            }
            FrameKind::Heartbeat => {}
            FrameKind::Header | FrameKind::Body => bail!("content that nothing announced"),
        }
        Ok(frame.end())
    }

    fn confirm(&mut self, stage: Stage, state: &mut State) {
        for number in self.touched.drain(..) {
            // It may have been closed with the same read.
            if let Some(Some(channel)) = self.channels.get_mut(usize::from(number)) {
                channel.is_touched = false;
                self.outbox.confirm(stage, number, channel.published, &mut state.pool);
            }
        }
    }
}

/// Gives the frames that have to become durable to the batch; returns the buffer for the next read.
fn keep_rest(mut input: Vec<u8>, understood: &Understood, state: &mut State) -> Vec<u8> {
    let consumed_bytes = understood.consumed_bytes;
    if understood.is_persistent {
        let (bytes, pool) = state.batch_bytes();
        if is_handed_over(consumed_bytes) {
            let mut next = pool.take();
            next.extend_from_slice(&input[consumed_bytes..]);
            input.truncate(consumed_bytes);
            bytes.push(input, pool);
            return next;
        }
        bytes.room(consumed_bytes, pool).extend_from_slice(&input[..consumed_bytes]);
    }
    input.drain(..consumed_bytes);
    input
}

/// Writes what the outbox lets go, until it is closed.
async fn write(broker: &Broker, outbox: &Outbox, mut writer: OwnedWriteHalf) -> Result<()> {
    while let Some(bytes) = outbox.next().await {
        writer.write_all(&bytes).await.context("cannot write")?;
        outbox.count_written(bytes.len());
        broker.state().pool.give(bytes);
    }
    Ok(())
}

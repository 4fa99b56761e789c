//! Filling and draining a queue of numbered messages.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::hot::{self, Content, Publication};
use amqp_wire::{Method, basic, queue};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Peer, persistent, short};

use bench::Confirmed;

/// A durable queue and what is in it: messages numbered from 0.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    pub(super) queue: String,
    pub(super) messages: u64,
    pub(super) body_bytes: usize,
}

/// Channels of a connection: one to publish, one to consume.
const PUBLISHING: u16 = 1;
const CONSUMING: u16 = 2;

/// Publishes that may wait for their confirm.
const WINDOW: u64 = 20_000;

/// Messages in one write.
const BATCH: u64 = 200;

/// Acks that leave together.
pub(super) const ACK_EVERY: u64 = 500;

impl Backlog {
    pub(super) fn declare(&self, peer: &mut Peer) -> Result<()> {
        peer.open_confirm_channel(PUBLISHING)?;
        let declare = queue::Declare { queue: short(&self.queue), durable: true, ..Default::default() };
        let _: queue::DeclareOk = peer.call(PUBLISHING, declare)?;
        Ok(())
    }

    /// Publishes all of it and waits for the confirms; `told` hears how many there are. On a connection that has published nothing.
    pub(super) fn fill(&self, peer: &mut Peer, mut told: impl FnMut(u64)) -> Result<()> {
        let (mut published, mut confirmed) = (0, Confirmed::default());
        while confirmed.count() < self.messages {
            while published < self.messages && published - confirmed.count() < WINDOW {
                let batch = published..self.messages.min(published + BATCH);
                published = batch.end;
                self.publish(peer, batch)?;
            }
            wait_confirms(peer, &mut confirmed)?;
            told(confirmed.count());
        }
        Ok(())
    }

    /// The same at a steady pace, and one batch after the other.
    pub(super) fn fill_at(&self, peer: &mut Peer, messages_per_s: u64) -> Result<()> {
        let (mut published, mut confirmed, started) = (0, Confirmed::default(), Instant::now());
        while published < self.messages {
            let batch = published..self.messages.min(published + BATCH);
            published = batch.end;
            self.publish(peer, batch)?;
            while confirmed.count() < published {
                wait_confirms(peer, &mut confirmed)?;
            }
            let due = Duration::from_secs_f64(published as f64 / messages_per_s as f64);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
        Ok(())
    }

    /// Publishes the message of this number, which all before have to come in front of, and waits for its confirm.
    pub(super) fn publish_alone(&self, peer: &mut Peer, number: u64) -> Result<()> {
        self.publish(peer, number..number + 1)?;
        let mut confirmed = Confirmed::default();
        while confirmed.count() == 0 {
            wait_confirms(peer, &mut confirmed)?;
        }
        Ok(())
    }

    fn publish(&self, peer: &mut Peer, numbers: Range<u64>) -> Result<()> {
        let target = Publication { exchange: b"", routing_key: self.queue.as_bytes(), mandatory: false };
        let (properties, mut body, mut out) = (persistent(), vec![b'x'; self.body_bytes], Vec::new());
        for number in numbers {
            body[..8].copy_from_slice(&number.to_be_bytes());
            let content = Content { properties: &properties, body: &body };
            hot::publish(&mut out, PUBLISHING, peer.frame_max(), &target, content);
        }
        Ok(peer.send_raw(&out)?)
    }

    /// Begins to consume.
    pub(super) fn consume(&self, peer: &mut Peer) -> Result<()> {
        peer.open_channel(CONSUMING)?;
        let qos = basic::Qos { prefetch_count: 4 * ACK_EVERY as u16, ..Default::default() };
        let basic::QosOk {} = peer.call(CONSUMING, qos)?;
        let consume = basic::Consume { queue: short(&self.queue), ..Default::default() };
        let _: basic::ConsumeOk = peer.call(CONSUMING, consume)?;
        Ok(())
    }

    /// Takes the messages from this number on, in order, and acks them; `told` hears how many there were.
    pub(super) fn drain(&self, peer: &mut Peer, from: u64, mut told: impl FnMut(u64)) -> Result<()> {
        for expected in from..self.messages {
            let (deliver, content) = peer.expect_delivery(CONSUMING)?;
            let number = content.body.first_chunk().map(|number| u64::from_be_bytes(*number));
            let number = number.context("a body without a number")?;
            if number != expected || content.body.len() != self.body_bytes {
                bail!(
                    "message {expected} of {} should come now; message {number} of {} bytes came",
                    self.queue,
                    content.body.len()
                );
            }
            if (expected + 1).is_multiple_of(ACK_EVERY) || expected + 1 == self.messages {
                let delivery_tag = deliver.delivery_tag;
                peer.send(CONSUMING, basic::Ack { delivery_tag, multiple: true })?;
            }
            told(expected + 1);
        }
        Ok(())
    }

    /// Deletes the queue, which has to be empty.
    pub(super) fn delete(&self, peer: &mut Peer) -> Result<()> {
        let delete = queue::Delete { queue: short(&self.queue), ..Default::default() };
        let deleted: queue::DeleteOk = peer.call(CONSUMING, delete)?;
        match deleted.message_count {
            0 => Ok(()),
            left => bail!("{left} messages are left in {} after all were delivered", self.queue),
        }
    }
}

fn wait_confirms(peer: &mut Peer, confirmed: &mut Confirmed) -> Result<()> {
    let incoming = peer.receive()?;
    let Method::Basic(basic::Method::Ack(basic::Ack { delivery_tag, multiple })) = incoming.method else {
        bail!("expected confirms, got {:?}", incoming.method);
    };
    confirmed.on_ack(delivery_tag, multiple);
    Ok(())
}

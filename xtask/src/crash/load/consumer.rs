//! Consumers: each acknowledges in its own way, and now and then gives messages back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amqp_wire::{MethodArguments, basic, channel, confirm};
use anyhow::{Context, Result};
use testkit::amqp::{Incoming, Peer, persistent, short};

use super::Shared;
use super::publisher::Confirms;
use super::shared::count;
use crate::crash::body::{self, MessageId};
use crate::crash::breach::must;
use crate::crash::messages::ConsumerId;
use crate::crash::topology::{self, MESSAGE_QUEUES};

/// How a consumer acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Every message alone, some given back.
    OneByOne,
    /// With `multiple`, so many at a time.
    Multiple { every: usize },
    /// Each ack followed by a confirmed publish on the same channel, which makes the ack durable.
    Receipts { publisher: u32 },
}

impl Way {
    /// The consumers of one queue.
    pub(super) fn all_for(is_receipts: bool, next_publisher: &mut u32) -> Vec<Self> {
        if is_receipts {
            return vec![Self::Multiple { every: 32 }];
        }
        let publisher = *next_publisher;
        *next_publisher += 1;
        vec![Self::OneByOne, Self::Multiple { every: 64 }, Self::Receipts { publisher }]
    }

    fn prefetch_count(self) -> u16 {
        match self {
            Self::OneByOne => 20,
            Self::Multiple { every } => 3 * every as u16,
            Self::Receipts { .. } => 50,
        }
    }
}

const CHANNEL: u16 = 1;

/// Consumes until the connection ends. From time to time it closes its channel with messages in its hands.
pub(super) fn run(
    mut peer: Peer,
    shared: &Shared,
    queue: usize,
    way: Way,
    mut rng: fastrand::Rng,
) -> Result<()> {
    loop {
        let mut consumer = Consumer::open(&mut peer, shared, queue, way)?;
        for _ in 0..rng.u32(500..6000) {
            consumer.step(&mut rng)?;
        }
        consumer.close()?;
    }
}

struct Consumer<'a> {
    peer: &'a mut Peer,
    shared: &'a Shared,
    queue: usize,
    way: Way,
    id: ConsumerId,
    /// Messages in hand, by delivery tag.
    held: BTreeMap<u64, MessageId>,
    last_tag: u64,
    /// Receipts that wait for their confirm, and what each of them is the receipt for.
    confirms: Confirms,
    receipted: VecDeque<(MessageId, MessageId)>,
    scratch: Vec<u8>,
}

impl<'a> Consumer<'a> {
    fn open(peer: &'a mut Peer, shared: &'a Shared, queue: usize, way: Way) -> Result<Self> {
        peer.open_channel(CHANNEL)?;
        let qos = basic::Qos { prefetch_size: 0, prefetch_count: way.prefetch_count(), global: false };
        let basic::QosOk {} = peer.call(CHANNEL, qos)?;
        if matches!(way, Way::Receipts { .. }) {
            let confirm::SelectOk {} = peer.call(CHANNEL, confirm::Select { no_wait: false })?;
        }
        let consume = basic::Consume { queue: short(MESSAGE_QUEUES[queue]), ..Default::default() };
        let _: basic::ConsumeOk = peer.call(CHANNEL, consume)?;
        Ok(Self {
            peer,
            shared,
            queue,
            way,
            id: shared.new_consumer(),
            held: BTreeMap::new(),
            last_tag: 0,
            confirms: Confirms::default(),
            receipted: VecDeque::new(),
            scratch: Vec::new(),
        })
    }

    /// Takes one method from the broker, if there is one soon, and reacts.
    fn step(&mut self, rng: &mut fastrand::Rng) -> Result<()> {
        let Some(incoming) = self.peer.receive_within(Duration::from_millis(20))? else {
            return self.ack_all();
        };
        self.shared.stop_if_ending_gradually()?;
        let Some((deliver, body)) = incoming.delivery() else {
            return self.on_confirm(&incoming);
        };
        must!(
            deliver.delivery_tag == self.last_tag + 1,
            "tag {} follows {}",
            deliver.delivery_tag,
            self.last_tag
        );
        self.last_tag = deliver.delivery_tag;
        let id = self.read(body)?;
        self.shared.queue(self.queue).on_delivery(id, self.id, deliver.redelivered)?;
        count(&self.shared.counters.delivered);
        self.held.insert(deliver.delivery_tag, id);
        self.settle(deliver.delivery_tag, rng)
    }

    fn read(&mut self, body: &[u8]) -> Result<MessageId> {
        let id = body::read(body, &mut self.scratch);
        let name = MESSAGE_QUEUES[self.queue];
        must!(id.is_some(), "{name}: a body of {} bytes was delivered that nobody sent", body.len());
        id.context("checked above")
    }

    fn settle(&mut self, tag: u64, rng: &mut fastrand::Rng) -> Result<()> {
        match self.way {
            Way::OneByOne if rng.u8(..) < 6 => self.give_back(tag, rng.bool()),
            Way::OneByOne => self.ack(tag, false),
            Way::Multiple { every } if self.held.len() >= every => self.ack(tag, true),
            Way::Multiple { .. } => Ok(()),
            Way::Receipts { publisher } => {
                let id = self.held.get(&tag).copied().context("held since a moment ago")?;
                self.ack(tag, false)?;
                self.publish_receipt(publisher, id)
            }
        }
    }

    fn ack(&mut self, tag: u64, multiple: bool) -> Result<()> {
        for id in self.let_go(tag, multiple) {
            self.shared.queue(self.queue).on_ack(id);
            count(&self.shared.counters.acked);
        }
        Ok(self.peer.send(CHANNEL, basic::Ack { delivery_tag: tag, multiple })?)
    }

    fn ack_all(&mut self) -> Result<()> {
        match self.held.last_key_value() {
            Some((&tag, _)) => self.ack(tag, true),
            None => Ok(()),
        }
    }

    fn give_back(&mut self, tag: u64, multiple: bool) -> Result<()> {
        for id in self.let_go(tag, multiple) {
            self.shared.queue(self.queue).on_release(id);
        }
        Ok(self.peer.send(CHANNEL, basic::Nack { delivery_tag: tag, multiple, requeue: true })?)
    }

    /// The messages that a settle with this tag settles.
    fn let_go(&mut self, tag: u64, multiple: bool) -> Vec<MessageId> {
        if !multiple {
            return self.held.remove(&tag).into_iter().collect();
        }
        let later = self.held.split_off(&(tag + 1));
        std::mem::replace(&mut self.held, later).into_values().collect()
    }

    fn publish_receipt(&mut self, publisher: u32, acked: MessageId) -> Result<()> {
        let receipt = self.shared.next_message(publisher);
        self.confirms.on_publish(receipt);
        self.receipted.push_back((receipt, acked));
        let mut body = Vec::new();
        body::write(receipt, &mut body);
        Ok(self.peer.publish(CHANNEL, &topology::route(receipt), &persistent(), &body)?)
    }

    fn on_confirm(&mut self, incoming: &Incoming) -> Result<()> {
        let confirmed = self.confirms.on_incoming(incoming)?;
        confirmed.iter().for_each(|&receipt| self.shared.on_confirm(receipt));
        let Some(last) = confirmed.into_iter().max() else { return Ok(()) };
        // What was acked before a confirmed publish is durable, also where earlier confirms are still under way.
        while self.receipted.front().is_some_and(|(receipt, _)| *receipt <= last) {
            if let Some((_, acked)) = self.receipted.pop_front() {
                self.shared.queue(self.queue).on_ack_durable(acked);
                count(&self.shared.counters.acked_durably);
            }
        }
        Ok(())
    }

    /// Closes the channel; the broker gives what is in hand to others.
    fn close(self) -> Result<()> {
        for &id in self.held.values() {
            self.shared.queue(self.queue).on_release(id);
        }
        self.peer.send(CHANNEL, channel::Close { reply_code: 200, ..Default::default() })?;
        // Deliveries on their way were never in our hands: the broker may already have given them to others.
        while self.peer.receive()?.method.id() != channel::CloseOk::SPEC.id {}
        Ok(())
    }
}

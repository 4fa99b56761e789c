//! The queues of a load, and the connections to them.

use amqp_wire::{basic, confirm, exchange, queue, tx};
use testkit::amqp::{Endpoint, Peer, PeerError, short};

use crate::Workload;
use crate::workload::Safety;

/// The first one, and mostly the only one.
pub(super) const CHANNEL: u16 = 1;

/// The queues of a load, and an exchange if each message goes to all of them.
pub(super) struct Topology<'a> {
    endpoint: &'a Endpoint,
    workload: &'a Workload,
    name: String,
}

/// Where a publisher publishes to.
pub(super) struct PublishTarget {
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

impl<'a> Topology<'a> {
    pub(super) fn declare(endpoint: &'a Endpoint, workload: &'a Workload) -> Result<Self, PeerError> {
        let name = format!("bench.{}.{}", workload.name, std::process::id());
        let topology = Self { endpoint, workload, name };
        let mut peer = topology.open()?;
        let durable = workload.persistent;
        if workload.fanout {
            let declare = exchange::Declare {
                exchange: short(&topology.name),
                kind: short("fanout"),
                durable,
                ..Default::default()
            };
            let _: exchange::DeclareOk = peer.call(CHANNEL, declare)?;
        }
        for number in 0..workload.queues {
            let queue = short(&topology.queue(number));
            let declare = queue::Declare { queue: queue.clone(), durable, ..Default::default() };
            let _: queue::DeclareOk = peer.call(CHANNEL, declare)?;
            if workload.fanout {
                let bind = queue::Bind { queue, exchange: short(&topology.name), ..Default::default() };
                let _: queue::BindOk = peer.call(CHANNEL, bind)?;
            }
        }
        Ok(topology)
    }

    pub(super) fn publisher(&self) -> Result<Peer, PeerError> {
        let mut peer = self.open()?;
        match self.workload.safety {
            Safety::None => {}
            Safety::Confirms(_) => {
                let confirm::SelectOk {} = peer.call(CHANNEL, confirm::Select { no_wait: false })?;
            }
            Safety::Transactions { channels, .. } => {
                for channel in CHANNEL..CHANNEL + channels {
                    if channel != CHANNEL {
                        peer.open_channel(channel)?;
                    }
                    let tx::SelectOk {} = peer.call(channel, tx::Select {})?;
                }
            }
        }
        Ok(peer)
    }

    /// A connection that consumes from its share of the queues.
    pub(super) fn consumer(&self, number: usize) -> Result<Peer, PeerError> {
        let mut peer = self.open()?;
        let no_ack = self.workload.ack_every.is_none();
        for queue in (number..self.workload.queues).step_by(self.workload.consumers) {
            let consume = basic::Consume { queue: short(&self.queue(queue)), no_ack, ..Default::default() };
            let _: basic::ConsumeOk = peer.call(CHANNEL, consume)?;
        }
        Ok(peer)
    }

    /// Where a publisher publishes to.
    pub(super) fn target(&self, publisher: usize) -> PublishTarget {
        match self.workload.fanout {
            true => PublishTarget { exchange: self.name.clone(), routing_key: String::new() },
            false => PublishTarget {
                exchange: String::new(),
                routing_key: self.queue(publisher % self.workload.queues),
            },
        }
    }

    pub(super) fn delete(&self) -> Result<(), PeerError> {
        let mut peer = self.open()?;
        for number in 0..self.workload.queues {
            let delete = queue::Delete { queue: short(&self.queue(number)), ..Default::default() };
            let _: queue::DeleteOk = peer.call(CHANNEL, delete)?;
        }
        if self.workload.fanout {
            let delete = exchange::Delete { exchange: short(&self.name), ..Default::default() };
            let _: exchange::DeleteOk = peer.call(CHANNEL, delete)?;
        }
        Ok(())
    }

    fn queue(&self, number: usize) -> String {
        format!("{}.{number}", self.name)
    }

    fn open(&self) -> Result<Peer, PeerError> {
        let mut peer = Peer::open(self.endpoint)?;
        peer.open_channel(CHANNEL)?;
        Ok(peer)
    }
}

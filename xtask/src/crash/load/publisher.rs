//! Publishers: windows of persistent messages, and the confirms for them.

use std::collections::BTreeMap;
use std::time::Duration;

use amqp_wire::hot::{self, Content};
use amqp_wire::{Method, basic};
use anyhow::{Result, bail};
use testkit::amqp::{Incoming, Peer, persistent};

use super::Shared;
use crate::crash::body::{self, MessageId};
use crate::crash::breach::must;
use crate::crash::topology;

const CHANNEL: u16 = 1;

const BATCH_MAX: usize = 40;

/// Publishes until the connection ends.
pub(super) fn run(mut peer: Peer, shared: &Shared, publisher: u32, mut rng: fastrand::Rng) -> Result<()> {
    peer.open_confirm_channel(CHANNEL)?;
    let window = [1, 30, 300, 1000][publisher as usize % 4];
    let mut confirms = Confirms::default();
    let (properties, mut out, mut body) = (persistent(), Vec::new(), Vec::new());
    loop {
        out.clear();
        for _ in 0..rng.usize(1..=BATCH_MAX).min(window - confirms.outstanding()) {
            let id = shared.next_message(publisher);
            confirms.on_publish(id);
            body.clear();
            body::write(id, &mut body);
            let content = Content { properties: &properties, body: &body };
            hot::publish(&mut out, CHANNEL, peer.frame_max(), &topology::route(id), content);
        }
        let sent = peer.send_raw(&out);
        while let Some(incoming) = next(&mut peer, confirms.outstanding() == window)? {
            for id in confirms.on_incoming(&incoming)? {
                shared.on_confirm(id);
            }
        }
        // Only now: confirms that had left the broker before it died still count.
        sent?;
    }
}

/// What has come, or, when there is no room for another publish, what comes next.
fn next(peer: &mut Peer, must_wait: bool) -> Result<Option<Incoming>> {
    Ok(if must_wait { Some(peer.receive()?) } else { peer.receive_within(Duration::ZERO)? })
}

/// Which publishes of a channel wait for their confirm.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    published: u64,
    waiting: BTreeMap<u64, MessageId>,
}

impl Confirms {
    pub(super) fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn on_publish(&mut self, id: MessageId) {
        self.published += 1;
        self.waiting.insert(self.published, id);
    }

    /// The messages that a method from the broker confirms, in the order of their publishes.
    pub(super) fn on_incoming(&mut self, incoming: &Incoming) -> Result<Vec<MessageId>> {
        let Method::Basic(basic::Method::Ack(ack)) = &incoming.method else {
            bail!("expected confirms, got {:?}", incoming.method);
        };
        let basic::Ack { delivery_tag, multiple } = *ack;
        must!(delivery_tag <= self.published, "confirm {delivery_tag} of {} publishes", self.published);
        if !multiple {
            let id = self.waiting.remove(&delivery_tag);
            must!(id.is_some(), "publish {delivery_tag} was confirmed twice");
            return Ok(id.into_iter().collect());
        }
        let later = self.waiting.split_off(&(delivery_tag + 1));
        let confirmed = std::mem::replace(&mut self.waiting, later);
        must!(!confirmed.is_empty(), "confirm of all up to {delivery_tag} confirms nothing");
        Ok(confirmed.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(delivery_tag: u64, multiple: bool) -> Incoming {
        Incoming { channel: 1, method: basic::Ack { delivery_tag, multiple }.into(), content: None }
    }

    #[test]
    fn each_publish_is_confirmed_once_alone_or_with_others() {
        let mut confirms = Confirms::default();
        (1..=5).for_each(|number| confirms.on_publish(MessageId { publisher: 1, number }));
        let mut numbers = |incoming| -> Result<Vec<u64>> {
            Ok(confirms.on_incoming(&incoming)?.into_iter().map(|id| id.number).collect())
        };
        assert_eq!(numbers(ack(2, false)).unwrap(), [2]);
        assert_eq!(numbers(ack(4, true)).unwrap(), [1, 3, 4]);
        assert!(numbers(ack(3, false)).is_err());
        assert!(numbers(ack(4, true)).is_err());
        assert!(numbers(ack(6, true)).is_err());
        assert_eq!(numbers(ack(5, false)).unwrap(), [5]);
    }
}

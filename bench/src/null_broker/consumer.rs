//! Who gets messages.

use std::cell::Cell;
use std::rc::Rc;

use amqp_wire::ShortString;
use amqp_wire::hot::{self, Delivery};

use super::message::Message;
use super::outbox::Outbox;
use super::pool::Pool;
use super::staged::Stage;

/// What a delivery takes beyond the frames of the publish, at most: its tags.
const MORE_THAN_PUBLISH_BYTES: usize = 300;

/// A consumer of the queue.
#[derive(Debug)]
pub(super) struct Consumer {
    /// Its connection's output.
    pub(super) outbox: Rc<Outbox>,
    /// Its channel.
    pub(super) channel: u16,
    /// Its name on the channel.
    pub(super) tag: ShortString,
    /// Its connection's frame size in bytes.
    pub(super) frame_max: u32,
    /// How many deliveries its channel has had.
    pub(super) deliveries: Rc<Cell<u64>>,
}

impl Consumer {
    /// Encodes a delivery; it goes out when its stage is over.
    pub(super) fn deliver(&self, message: &Message<'_>, stage: Stage, pool: &mut Pool) {
        let delivery_tag = self.deliveries.get() + 1;
        self.deliveries.set(delivery_tag);
        let delivery = Delivery {
            consumer_tag: self.tag.as_bytes(),
            delivery_tag,
            redelivered: false,
            exchange: message.exchange,
            routing_key: message.routing_key,
        };
        let bytes_max = message.frames.len() + MORE_THAN_PUBLISH_BYTES;
        self.outbox.append(stage, bytes_max, pool, |out| {
            hot::deliver_start(out, self.channel, &delivery, message.properties, message.body_bytes);
            message.body_parts().for_each(|part| hot::body_frames(out, self.channel, self.frame_max, part));
        });
    }
}

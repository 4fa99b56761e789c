//! Tasks over AMQP: whoever adds them, and whoever works on them.

use amqp_wire::{Properties, ShortString, Table, Value, basic, hot};
use testkit::amqp::{Content, Peer, short};

/// A task, as its worker got it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) tag: u64,
    pub(super) body: Vec<u8>,
    pub(super) reply_to: ShortString,
    pub(super) task: String,
    pub(super) attempt: i64,
    pub(super) epoch: i64,
}

/// The next task of a consumer on channel 1.
pub(super) fn next_job(peer: &mut Peer) -> Job {
    let (deliver, content) = peer.expect_delivery(1).unwrap();
    Job::read(deliver.delivery_tag, content)
}

impl Job {
    fn read(tag: u64, content: Content) -> Self {
        let properties = Properties::decode(&content.properties).unwrap();
        let headers = properties.headers.unwrap();
        let number = |name: &str| headers.get(name.as_bytes()).and_then(Value::as_integer).unwrap();
        let Some(Value::LongString(task)) = headers.get(b"x-task-id") else { panic!("no id in {headers:?}") };
        Self {
            tag,
            body: content.body,
            reply_to: properties.reply_to.unwrap(),
            task: String::from_utf8(task.to_vec()).unwrap(),
            attempt: number("x-attempt"),
            epoch: number("x-epoch"),
        }
    }

    /// Publishes a reply to where the task asks for it.
    pub(super) fn reply(&self, peer: &mut Peer, channel: u16, mandatory: bool, body: &[u8]) {
        let publication = hot::Publication { exchange: b"", routing_key: &self.reply_to, mandatory };
        peer.publish(channel, &publication, &Properties::default().to_bytes(), body).unwrap();
    }

    pub(super) fn ack(&self, peer: &mut Peer, channel: u16) {
        peer.send(channel, basic::Ack { delivery_tag: self.tag, multiple: false }).unwrap();
    }
}

/// Consumes from a queue on channel 1, so many tasks at once.
pub(super) fn work(peer: &mut Peer, queue: &str, prefetch: u16) {
    let qos = basic::Qos { prefetch_count: prefetch, ..basic::Qos::default() };
    let basic::QosOk {} = peer.call(1, qos).unwrap();
    crate::support::consume(peer, queue, false);
}

/// Publishes a persistent message on channel 1 under an idempotency key.
pub(super) fn publish_under_key(peer: &mut Peer, queue: &str, key: &str, body: &[u8]) {
    let headers: Table = [(short("x-idempotency-key"), Value::text(key))].into_iter().collect();
    let properties =
        Properties { delivery_mode: Some(2), headers: Some(headers), ..Properties::default() }.to_bytes();
    let publication = hot::Publication { exchange: b"", routing_key: queue.as_bytes(), mandatory: true };
    peer.publish(1, &publication, &properties, body).unwrap();
}

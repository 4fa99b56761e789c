//! A channel on which every publish is confirmed.

use std::collections::VecDeque;
use std::sync::Arc;

use amqp_wire::{basic, channel, confirm};

use super::{Output, Publication};

/// Publishes that wait for the broker's word, in the order in which they were written.
///
/// `T` is whose publish it is. The channel is opened, selected and used without waiting for answers in between: what
/// fails shows as `channel.close`. After a close or a reconnect [`ConfirmChannel::open`] and
/// [`ConfirmChannel::send_again`] bring it back.
#[derive(Debug)]
pub struct ConfirmChannel<T> {
    channel: u16,
    next_tag: u64,
    in_flight: VecDeque<InFlight<T>>,
    is_open: bool,
}

#[derive(Debug)]
struct InFlight<T> {
    /// The broker's number of it on the channel as it is open now.
    tag: u64,
    publication: Arc<Publication>,
    owner: T,
    /// It came back; the confirm that follows ends it.
    returned: Option<Refused>,
}

/// The broker's word on one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is durable.
    Confirmed,
    /// It met no queue.
    Returned(Refused),
    /// The broker could not take it.
    Nacked,
    /// It closed the channel.
    Refused(Refused),
}

/// A code with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// AMQP's reply code.
    pub code: u16,
    /// The broker's words.
    pub text: String,
}

impl<T> ConfirmChannel<T> {
    /// A channel that is not open yet.
    pub fn new(channel: u16) -> Self {
        Self { channel, next_tag: 1, in_flight: VecDeque::new(), is_open: false }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.channel
    }

    /// Whether it is open, as far as is known.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Those who wait, oldest first.
    pub fn owners(&self) -> impl Iterator<Item = &T> {
        self.in_flight.iter().map(|publish| &publish.owner)
    }

    /// Opens it. What is in flight is not written: see [`ConfirmChannel::send_again`].
    pub fn open(&mut self, output: &mut Output) {
        self.is_open = true;
        self.next_tag = 1;
        output.method(self.channel, channel::Open {});
        output.method(self.channel, confirm::Select { no_wait: true });
    }

    /// Writes all that is in flight, in its order, on the channel that was just opened.
    pub fn send_again(&mut self, output: &mut Output) {
        for publish in &mut self.in_flight {
            publish.tag = self.next_tag;
            publish.returned = None;
            self.next_tag += 1;
            output.publish(self.channel, &publish.publication);
        }
    }

    /// Publishes now, or when the channel opens.
    pub fn publish(&mut self, publication: Arc<Publication>, owner: T, output: &mut Output) {
        let tag = self.next_tag;
        if self.is_open {
            self.next_tag += 1;
            output.publish(self.channel, &publication);
        }
        self.in_flight.push_back(InFlight { tag, publication, owner, returned: None });
    }

    /// The channel is gone with its connection. What is in flight stays.
    pub fn lost(&mut self) {
        self.is_open = false;
    }

    /// Forgets what is in flight and tells whose it was.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.in_flight).into_iter().map(|publish| publish.owner)
    }

    /// `basic.ack`: who has been waiting for it, and what came of it.
    pub fn acked(&mut self, ack: &basic::Ack) -> Vec<(T, Verdict)> {
        self.settled(ack.delivery_tag, ack.multiple, |publish| match publish.returned {
            Some(refused) => (publish.owner, Verdict::Returned(refused)),
            None => (publish.owner, Verdict::Confirmed),
        })
    }

    /// `basic.nack`.
    pub fn nacked(&mut self, nack: &basic::Nack) -> Vec<(T, Verdict)> {
        self.settled(nack.delivery_tag, nack.multiple, |publish| (publish.owner, Verdict::Nacked))
    }

    /// `basic.return`: the confirm comes behind it. False when the message is not known.
    pub fn returned(&mut self, returned: &basic::Return, message_id: Option<&[u8]>) -> bool {
        let found = self.in_flight.iter_mut().find(|publish| {
            publish.returned.is_none() && Some(publish.publication.message_id.as_bytes()) == message_id
        });
        let Some(publish) = found else { return false };
        publish.returned = Some(Refused { code: returned.reply_code, text: returned.reply_text.to_string() });
        true
    }

    /// `channel.close`: answers it, and tells which publish it is about. The others are still in flight.
    ///
    /// A broker closes the channel at the first publish that it refuses, which is the oldest in flight if it keeps
    /// its answers in order. RabbitMQ may still owe confirms of earlier ones: one whose exchange the text names goes
    /// first.
    pub fn closed(&mut self, close: &channel::Close, output: &mut Output) -> Option<(T, Verdict)> {
        output.method(self.channel, channel::CloseOk {});
        self.is_open = false;
        let refused = Refused { code: close.reply_code, text: close.reply_text.to_string() };
        let is_named = |publish: &InFlight<T>| {
            let exchange = &publish.publication.exchange;
            !exchange.is_empty() && refused.text.contains(&format!("'{exchange}'"))
        };
        let at = self.in_flight.iter().position(is_named).unwrap_or_default();
        let culprit = self.in_flight.remove(at)?;
        Some((culprit.owner, Verdict::Refused(refused)))
    }

    fn settled(
        &mut self,
        tag: u64,
        multiple: bool,
        judge: impl Fn(InFlight<T>) -> (T, Verdict),
    ) -> Vec<(T, Verdict)> {
        // The tags rise from front to back.
        let behind = self.in_flight.partition_point(|publish| publish.tag <= tag);
        if multiple {
            let count = if tag == 0 { self.in_flight.len() } else { behind };
            return self.in_flight.drain(..count).map(judge).collect();
        }
        match behind.checked_sub(1) {
            Some(at) if self.in_flight[at].tag == tag => {
                self.in_flight.remove(at).map(judge).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use amqp_wire::{Method, Properties, ShortString};
    use bytes::Bytes;

    use super::*;

    fn publication(exchange: &str, body: &'static str) -> Arc<Publication> {
        let name = |text: &str| ShortString::try_from(text).unwrap();
        let properties = Properties { message_id: Some(name(body)), ..Properties::default() };
        let body = Bytes::from_static(body.as_bytes());
        Arc::new(Publication::new(name(exchange), name("k"), true, properties, body))
    }

    fn opened(bodies: &[&'static str]) -> (ConfirmChannel<&'static str>, Output) {
        let (mut channel, mut output) = (ConfirmChannel::new(1), Output::online());
        channel.open(&mut output);
        for body in bodies {
            channel.publish(publication("", body), *body, &mut output);
        }
        (channel, output)
    }

    fn ack(tag: u64, multiple: bool) -> basic::Ack {
        basic::Ack { delivery_tag: tag, multiple }
    }

    fn bodies(output: &mut Output) -> Vec<String> {
        let body = |incoming: &super::super::Incoming| match incoming.method {
            Method::Basic(basic::Method::Publish(_)) => {
                Some(String::from_utf8_lossy(&incoming.content.body).into_owned())
            }
            _ => None,
        };
        output.drain().iter().filter_map(body).collect()
    }

    #[test]
    fn confirms_may_come_out_of_order_and_for_many() {
        let (mut channel, _) = opened(&["a", "b", "c", "d"]);
        assert_eq!(channel.acked(&ack(2, false)), [("b", Verdict::Confirmed)]);
        assert_eq!(channel.acked(&ack(2, false)), []);
        assert_eq!(channel.acked(&ack(3, true)), [("a", Verdict::Confirmed), ("c", Verdict::Confirmed)]);
        assert_eq!(
            channel.nacked(&basic::Nack { delivery_tag: 4, ..Default::default() }),
            [("d", Verdict::Nacked)]
        );
        assert!(channel.is_empty());
    }

    #[test]
    fn a_returned_message_is_known_by_its_id() {
        let (mut channel, _) = opened(&["a", "b"]);
        let no_route = basic::Return { reply_code: 312, ..Default::default() };
        assert!(channel.returned(&no_route, Some(b"b")));
        assert!(!channel.returned(&no_route, Some(b"x")));
        assert!(!channel.returned(&no_route, None));
        let verdicts = channel.acked(&ack(2, true));
        assert_eq!(verdicts[0], ("a", Verdict::Confirmed));
        assert!(matches!(verdicts[1], ("b", Verdict::Returned(Refused { code: 312, .. }))));
    }

    #[test]
    fn what_is_unconfirmed_is_sent_again_in_order_with_new_numbers() {
        let (mut channel, mut output) = opened(&["a", "b", "c"]);
        channel.acked(&ack(1, false));
        channel.lost();
        channel.publish(publication("", "d"), "d", &mut output);
        output.drain();
        channel.open(&mut output);
        channel.send_again(&mut output);
        assert_eq!(bodies(&mut output), ["b", "c", "d"]);
        assert_eq!(channel.acked(&ack(1, false)), [("b", Verdict::Confirmed)]);
    }

    #[test]
    fn a_close_fails_the_publish_that_it_is_about() {
        let (mut channel, mut output) = opened(&["a"]);
        channel.publish(publication("gone", "b"), "b", &mut output);
        let close = channel::Close {
            reply_code: 404,
            reply_text: ShortString::from_static("NOT_FOUND - no exchange 'gone' in vhost '/'"),
            ..Default::default()
        };
        let (owner, verdict) = channel.closed(&close, &mut output).unwrap();
        assert_eq!(owner, "b");
        assert!(matches!(verdict, Verdict::Refused(Refused { code: 404, .. })));
        assert_eq!(channel.owners().collect::<Vec<_>>(), [&"a"]);
    }
}

//! What can be done with a deep queue besides draining it: get, requeue, reject, purge. Every number is checked.

use std::time::Instant;

use amqp_wire::{Method, basic, channel, queue};
use anyhow::{Context, Result, bail, ensure};
use testkit::amqp::{Peer, short};

use super::load::Backlog;
use super::{DepthArguments, connected};

/// Messages that a consumer holds.
const HELD: u64 = 3000;

/// Of those, the ones that are rejected one by one, out of order, while the others stay held.
const REJECTED: [u64; 3] = [1500, 700, 2200];

/// What is held and what is not has to be more than a few pages of a queue.
const MESSAGES_MIN: u64 = 4 * HELD;

const WORKING: u16 = 3;

const CONSUMER: &str = "holder";

/// A deep queue and the channel that works on it.
struct Deep {
    backlog: Backlog,
    peer: Peer,
}

/// A message that came, by whatever way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Came {
    number: u64,
    redelivered: bool,
    delivery_tag: u64,
}

pub(super) fn run(arguments: &DepthArguments) -> Result<()> {
    let (messages, body_bytes) = (arguments.messages, arguments.body_bytes(100));
    ensure!(
        messages >= MESSAGES_MIN,
        "deep-operations needs {MESSAGES_MIN} messages or more, not {messages}; say --messages"
    );
    let target = arguments.target.start(&[])?;
    println!("\noperations on one queue with {messages} messages of {body_bytes} bytes");
    let backlog = Backlog { queue: "depth".into(), messages, body_bytes };
    let mut peer = connected(&target)?;
    backlog.declare(&mut peer)?;
    timed("filled", || backlog.fill(&mut peer, |_| ()))?;
    peer.open_channel(WORKING)?;
    let mut deep = Deep { backlog, peer };
    timed("the first got and requeued, then got again", || deep.get_and_requeue())?;
    timed("3,000 held, the channel closed, all held again, in order", || deep.hold_twice())?;
    timed("three of those rejected, each got again at its own place", || deep.reject_from_the_middle())?;
    timed("purged", || deep.purge(messages - HELD - 1))?;
    timed("what was held through the purge acked", || deep.ack_all())?;
    // On a connection that has published nothing.
    let mut peer = connected(&target)?;
    let next = Backlog { messages: 1000, ..deep.backlog };
    timed("filled and drained once more, deleted", || {
        next.declare(&mut peer)?;
        next.fill(&mut peer, |_| ())?;
        next.consume(&mut peer)?;
        next.drain(&mut peer, 0, |_| ())?;
        next.delete(&mut peer)
    })
}

impl Deep {
    /// Message 0 is got, goes back to the front, and says the second time that it was delivered before.
    fn get_and_requeue(&mut self) -> Result<()> {
        for redelivered in [false, true] {
            let came = self.get()?;
            check("basic.get", came, 0, redelivered)?;
            let basic = basic::Reject { delivery_tag: came.delivery_tag, requeue: true };
            self.peer.send(WORKING, basic)?;
        }
        Ok(())
    }

    /// What a channel held when it was closed comes again, in front of the rest, in the order in which it was.
    fn hold_twice(&mut self) -> Result<()> {
        self.hold(|number| number == 0)?;
        let channel::CloseOk {} =
            self.peer.call(WORKING, channel::Close { reply_code: 200, ..Default::default() })?;
        self.peer.open_channel(WORKING)?;
        self.hold(|_| true)
    }

    fn hold(&mut self, is_redelivered: impl Fn(u64) -> bool) -> Result<()> {
        let qos = basic::Qos { prefetch_count: HELD as u16, ..Default::default() };
        let basic::QosOk {} = self.peer.call(WORKING, qos)?;
        let (queue, consumer_tag) = (short(&self.backlog.queue), short(CONSUMER));
        let consume = basic::Consume { queue, consumer_tag, ..Default::default() };
        let _: basic::ConsumeOk = self.peer.call(WORKING, consume)?;
        for number in 0..HELD {
            let came = self.came()?;
            check("basic.deliver", came, number, is_redelivered(number))?;
        }
        Ok(())
    }

    /// What is rejected from among the held goes back to its own place: in order, and in front of what was never delivered.
    fn reject_from_the_middle(&mut self) -> Result<()> {
        let cancel = basic::Cancel { consumer_tag: short(CONSUMER), no_wait: false };
        let _: basic::CancelOk = self.peer.call(WORKING, cancel)?;
        for number in REJECTED {
            self.peer.send(WORKING, basic::Reject { delivery_tag: number + 1, requeue: true })?;
        }
        let mut expected = REJECTED;
        expected.sort_unstable();
        for number in expected {
            let came = self.get()?;
            check("basic.get", came, number, true)?;
        }
        let came = self.get()?;
        check("basic.get", came, HELD, false)
    }

    fn purge(&mut self, ready: u64) -> Result<()> {
        let purge = queue::Purge { queue: short(&self.backlog.queue), ..Default::default() };
        let purged: queue::PurgeOk = self.peer.call(WORKING, purge)?;
        ensure!(
            u64::from(purged.message_count) == ready,
            "the purge says that it dropped {} messages; {ready} were ready",
            purged.message_count
        );
        Ok(())
    }

    /// Acks all that is held. Then nothing is left, also when the channel closes, which would bring back what was not acked.
    fn ack_all(&mut self) -> Result<()> {
        self.peer.send(WORKING, basic::Ack { delivery_tag: 0, multiple: true })?;
        let channel::CloseOk {} =
            self.peer.call(WORKING, channel::Close { reply_code: 200, ..Default::default() })?;
        self.peer.open_channel(WORKING)?;
        self.peer.send(WORKING, basic::Get { queue: short(&self.backlog.queue), no_ack: false })?;
        match self.peer.receive()?.method {
            Method::Basic(basic::Method::GetEmpty(_)) => Ok(()),
            other => bail!("the queue should be empty when all held were acked; basic.get brought {other:?}"),
        }
    }

    fn get(&mut self) -> Result<Came> {
        self.peer.send(WORKING, basic::Get { queue: short(&self.backlog.queue), no_ack: false })?;
        self.came()
    }

    /// The next message.
    fn came(&mut self) -> Result<Came> {
        let incoming = self.peer.receive()?;
        let (delivery_tag, redelivered) = match incoming.method {
            Method::Basic(basic::Method::Deliver(deliver)) => (deliver.delivery_tag, deliver.redelivered),
            Method::Basic(basic::Method::GetOk(got)) => (got.delivery_tag, got.redelivered),
            other => bail!("a message should come now; {other:?} came"),
        };
        let body = incoming.content.unwrap_or_default().body;
        let number = body.first_chunk().context("a body without a number")?;
        Ok(Came { number: u64::from_be_bytes(*number), redelivered, delivery_tag })
    }
}

fn check(method: &str, came: Came, number: u64, redelivered: bool) -> Result<()> {
    ensure!(
        (came.number, came.redelivered) == (number, redelivered),
        "{method} should bring message {number} with redelivered = {redelivered} now; message {} with {} came",
        came.number,
        came.redelivered
    );
    Ok(())
}

fn timed(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    work().with_context(|| format!("not {what}"))?;
    println!("{what}: {:.3} s", started.elapsed().as_secs_f64());
    Ok(())
}

//! `cargo xtask abuse`: what no well-behaved client sends, and what the server must answer.
//!
//! Each case is a conversation over a connection of its own. Beside them all, a bystander's connection must notice
//! nothing: after each case it publishes a message and gets it back.
//!
//! The answers are RabbitMQ's, save where the case says otherwise and why.

mod cases;
mod peer_state;

use std::time::{Duration, Instant};

use amqp_wire::hot::Publication;
use amqp_wire::{basic, queue};
use anyhow::{Context, Result, bail};
use testkit::amqp::{Endpoint, Peer, short, transient};

use self::cases::CASES;
use crate::table::Table;
use crate::target::TargetArguments;

#[derive(clap::Args)]
pub(crate) struct AbuseArguments {
    /// Only the cases whose name contains this.
    name: Option<String>,
    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &AbuseArguments) -> Result<()> {
    let target = arguments.target.start(&[])?;
    let endpoint = target.endpoint();
    let mut bystander = Bystander::open(&endpoint)?;
    let table = Table::start(&["case", "outcome", "ms"], 8);
    let mut breached = Vec::new();
    let wanted =
        CASES.iter().filter(|case| arguments.name.as_ref().is_none_or(|name| case.name.contains(name)));
    for case in wanted {
        let started = Instant::now();
        let outcome = (case.play)(&endpoint).and_then(|()| bystander.check());
        let word = if outcome.is_ok() { "held" } else { "BREACH" };
        table.row(&[
            format!("{:<48}", case.name),
            word.to_owned(),
            started.elapsed().as_millis().to_string(),
        ]);
        if let Err(error) = outcome {
            println!("    {error:#}");
            breached.push(case.name);
        }
    }
    if breached.is_empty() {
        Ok(())
    } else {
        bail!("{} cases breached: {}", breached.len(), breached.join(", "))
    }
}

/// Somebody else's connection, opened before all abuse.
struct Bystander {
    peer: Peer,
    queue: String,
    sent: u64,
}

const CHANNEL: u16 = 1;

impl Bystander {
    fn open(endpoint: &Endpoint) -> Result<Self> {
        let mut peer = Peer::open(endpoint)?;
        peer.set_wait_max(Duration::from_secs(5))?;
        peer.open_channel(CHANNEL)?;
        let declare = queue::Declare { exclusive: true, ..Default::default() };
        let declared: queue::DeclareOk = peer.call(CHANNEL, declare)?;
        let queue = declared.queue.to_string();
        let consume = basic::Consume { queue: short(&queue), no_ack: true, ..Default::default() };
        let _: basic::ConsumeOk = peer.call(CHANNEL, consume)?;
        Ok(Self { peer, queue, sent: 0 })
    }

    fn check(&mut self) -> Result<()> {
        self.sent += 1;
        let target = Publication { exchange: b"", routing_key: self.queue.as_bytes(), mandatory: false };
        self.peer.publish(CHANNEL, &target, &transient(), &self.sent.to_be_bytes())?;
        let (_, content) = self.peer.expect_delivery(CHANNEL).context("another connection suffers")?;
        if content.body != self.sent.to_be_bytes() {
            bail!("another connection got a body of {} bytes that it had not sent", content.body.len());
        }
        Ok(())
    }
}

//! `forebay publish`

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use amqp_wire::{Method, Properties, basic, confirm, hot};

use super::{Broker, Failure, exit};
use crate::client::{Client, ClientError, Incoming, unexpected};

#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    #[command(flatten)]
    broker: Broker,
    /// The exchange; the default one, which is nameless, leads to the queue named by the key
    #[arg(long, default_value = "")]
    exchange: String,
    /// The routing key
    #[arg(long, default_value = "")]
    key: String,
    /// How many times
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Let the message be lost when the broker restarts
    #[arg(long)]
    transient: bool,
    /// A file with the body
    #[arg(long, conflicts_with = "body")]
    file: Option<PathBuf>,
    /// The body; without it and without --file it is read from standard input
    body: Option<String>,
}

/// Unconfirmed messages on their way at once. Enough to share syncs, few enough to wait for.
const IN_FLIGHT_MAX: u64 = 1000;
/// Written to the socket at once, in bytes.
const WRITE_BYTES: usize = 256 * 1024;

impl Publish {
    pub(super) fn run(self) -> Result<(), Failure> {
        let body = self.read_body()?;
        for name in [&self.exchange, &self.key] {
            if name.len() > 255 {
                return Err(Failure::new(exit::DATA, anyhow::anyhow!("'{name}' is longer than 255 bytes")));
            }
        }
        let mut client = Client::connect(&self.broker.url)?;
        match client.call(confirm::Select { no_wait: false })? {
            Method::Confirm(confirm::Method::SelectOk(_)) => {}
            other => return Err(unexpected(&other).into()),
        }
        let tally = self.publish(&mut client, &body)?;
        client.close()?;
        tally.report()
    }

    fn read_body(&self) -> Result<Vec<u8>, Failure> {
        let unreadable = |error: std::io::Error| Failure::new(exit::DATA, error);
        if let Some(body) = &self.body {
            return Ok(body.clone().into_bytes());
        }
        if let Some(file) = &self.file {
            return std::fs::read(file).map_err(|error| {
                Failure::new(exit::DATA, anyhow::anyhow!("cannot read {}: {error}", file.display()))
            });
        }
        if std::io::stdin().is_terminal() {
            eprintln!("Type the message and end it with Ctrl-D.");
        }
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body).map_err(unreadable)?;
        Ok(body)
    }

    fn publish(&self, client: &mut Client, body: &[u8]) -> Result<Tally, ClientError> {
        let properties =
            Properties { delivery_mode: Some(if self.transient { 1 } else { 2 }), ..Properties::default() }
                .to_bytes();
        let publication = hot::Publication {
            exchange: self.exchange.as_bytes(),
            routing_key: self.key.as_bytes(),
            mandatory: true,
        };
        let mut tally = Tally::default();
        for number in 1..=self.count {
            client.publish(&publication, hot::Content { properties: &properties, body });
            if client.queued_bytes() >= WRITE_BYTES {
                client.flush()?;
            }
            while number - tally.settled >= IN_FLIGHT_MAX {
                tally.take(&client.receive()?)?;
            }
        }
        while tally.settled < self.count {
            tally.take(&client.receive()?)?;
        }
        Ok(tally)
    }
}

/// What became of the messages.
#[derive(Debug, Default)]
struct Tally {
    /// Confirmed or rejected, all up to this number.
    settled: u64,
    rejected: u64,
    unroutable: u64,
}

impl Tally {
    fn take(&mut self, incoming: &Incoming) -> Result<(), ClientError> {
        match incoming {
            Incoming::Message { method: Method::Basic(basic::Method::Return(_)), .. } => self.unroutable += 1,
            // The broker confirms in order, so that a number stands for all before it.
            Incoming::Method(Method::Basic(basic::Method::Ack(ack))) => {
                self.settled = self.settled.max(ack.delivery_tag)
            }
            Incoming::Method(Method::Basic(basic::Method::Nack(nack))) => {
                self.rejected +=
                    if nack.multiple { nack.delivery_tag.saturating_sub(self.settled) } else { 1 };
                self.settled = self.settled.max(nack.delivery_tag);
            }
            Incoming::Method(method) | Incoming::Message { method, .. } => return Err(unexpected(method)),
        }
        Ok(())
    }

    fn report(&self) -> Result<(), Failure> {
        let Self { settled, rejected, unroutable } = *self;
        println!("{} confirmed", settled - rejected - unroutable);
        if rejected + unroutable == 0 {
            return Ok(());
        }
        let error = anyhow::anyhow!(
            "{rejected} rejected, {unroutable} met no queue; `forebay consume --declare NAME` makes a queue, and --key NAME leads to it"
        );
        Err(Failure::new(exit::DATA, error))
    }
}

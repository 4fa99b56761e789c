//! `forebay consume`

use std::io::Write;

use amqp_wire::{Method, ShortString, Table, basic, queue};

use super::{Broker, Failure, exit};
use crate::client::{Client, Incoming, delivery_tag, unexpected};

#[derive(Debug, clap::Args)]
pub(super) struct Consume {
    #[command(flatten)]
    broker: Broker,
    /// End after so many messages; without it, never
    #[arg(long)]
    count: Option<u64>,
    /// Let the broker forget each message before it is printed, instead of afterwards
    #[arg(long)]
    no_ack: bool,
    /// Make the queue (durable) if it is missing
    #[arg(long)]
    declare: bool,
    /// The queue
    queue: ShortQueueName,
}

/// Unacknowledged messages sent ahead.
const PREFETCH_COUNT: u16 = 100;

impl Consume {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut client = Client::connect(&self.broker.url)?;
        let queue = self.queue.0.clone();
        if self.declare {
            let declare = queue::Declare { queue: queue.clone(), durable: true, ..queue::Declare::default() };
            expect(&client.call(declare)?, "queue.declare-ok")?;
        }
        if self.count == Some(0) {
            return Ok(client.close()?);
        }
        // No more than wanted is sent, so that the rest stays in the queue, untouched.
        let prefetch_count =
            self.count.map_or(PREFETCH_COUNT, |count| count.min(PREFETCH_COUNT.into()) as u16);
        expect(&client.call(basic::Qos { prefetch_count, ..basic::Qos::default() })?, "basic.qos-ok")?;
        client.send(basic::Consume {
            queue,
            no_ack: self.forgets_when_sent(),
            arguments: Table::new(),
            ..basic::Consume::default()
        });
        self.print(&mut client)?;
        // What was sent ahead of the end without acknowledgement goes back to the queue with the connection.
        Ok(client.close()?)
    }

    /// With a count messages are acknowledged even if that is not asked for: the broker must not send more
    /// than will be printed.
    fn forgets_when_sent(&self) -> bool {
        self.no_ack && self.count.is_none()
    }

    fn print(&self, client: &mut Client) -> Result<(), Failure> {
        let mut printed = 0;
        let mut out = std::io::stdout().lock();
        while self.count.is_none_or(|count| printed < count) {
            match client.receive()? {
                Incoming::Message { method, body } => {
                    let delivery_tag = delivery_tag(&method).ok_or_else(|| unexpected(&method))?;
                    let written =
                        out.write_all(&body).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
                    written.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
                    // Only what was printed is acknowledged: a broken pipe loses nothing.
                    if !self.forgets_when_sent() {
                        client.send(basic::Ack { delivery_tag, multiple: false });
                    }
                    printed += 1;
                }
                Incoming::Method(Method::Basic(basic::Method::ConsumeOk(_))) => {}
                Incoming::Method(Method::Basic(basic::Method::Cancel(_))) => {
                    return Err(Failure::new(exit::UNAVAILABLE, anyhow::anyhow!("the queue was deleted")));
                }
                Incoming::Method(method) => return Err(unexpected(&method).into()),
            }
        }
        Ok(())
    }
}

fn expect(method: &Method, name: &str) -> Result<(), Failure> {
    if method.name() == name { Ok(()) } else { Err(unexpected(method).into()) }
}

/// A queue's name as AMQP can carry it.
#[derive(Clone, Debug)]
struct ShortQueueName(ShortString);

impl std::str::FromStr for ShortQueueName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ShortString::try_from(text).map(Self).map_err(|error| error.to_string())
    }
}

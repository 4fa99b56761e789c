//! What a transaction has collected so far.

use crate::command::{Outcome, Publish};
use crate::unacked::Delivery;

/// Publishes and settlements that wait for the commit.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) publishes: Vec<Publish>,
    pub(crate) settlements: Vec<(Delivery, Outcome)>,
    publish_bytes: u64,
}

/// The bound that a transaction went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) unit: &'static str,
    pub(crate) limit: u64,
}

impl Transaction {
    /// Bytes of messages in one transaction.
    pub(crate) const BYTES_MAX: u64 = 64 * 1024 * 1024;
    /// Publishes and settled deliveries in one transaction.
    pub(crate) const OPERATIONS_MAX: u64 = 100_000;

    /// Adds a publish. Its bytes are copied, so that they don't keep a read buffer alive until the commit.
    pub(crate) fn publish(&mut self, mut publish: Publish) -> Result<(), TooLarge> {
        let bytes = publish.envelope.stored_bytes() as u64;
        if self.publish_bytes + bytes > Self::BYTES_MAX {
            return Err(TooLarge { unit: "bytes", limit: Self::BYTES_MAX });
        }
        self.check_operations(1)?;
        self.publish_bytes += bytes;
        publish.envelope = publish.envelope.detached();
        self.publishes.push(publish);
        Ok(())
    }

    /// Adds settled deliveries.
    pub(crate) fn settle(&mut self, deliveries: &[Delivery], outcome: Outcome) -> Result<(), TooLarge> {
        self.check_operations(deliveries.len() as u64)?;
        self.settlements.extend(deliveries.iter().map(|delivery| (*delivery, outcome)));
        Ok(())
    }

    fn check_operations(&self, more: u64) -> Result<(), TooLarge> {
        let operations = (self.publishes.len() + self.settlements.len()) as u64 + more;
        if operations > Self::OPERATIONS_MAX {
            return Err(TooLarge { unit: "operations", limit: Self::OPERATIONS_MAX });
        }
        Ok(())
    }
}

//! The broker that is measured.

use testkit::amqp::Endpoint;
use testkit::server::ProcessUsage;

/// The broker that is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where it listens for AMQP.
    pub endpoint: Endpoint,
    /// Its process, if that is known: without it nobody knows what it uses.
    pub pid: Option<u32>,
}

impl Subject {
    /// What it has used so far, where that can be known.
    #[must_use]
    pub fn usage(&self) -> Option<ProcessUsage> {
        ProcessUsage::of(self.pid?).ok()
    }
}

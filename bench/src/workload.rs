//! The workloads, as data.

/// What is published and how it is answered for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    pub(super) letter: &'static str,
    pub(super) description: &'static str,
    pub(super) body_bytes: usize,
    pub(super) persistent: bool,
    /// Publishes that may wait for their confirm; `None` publishes without confirms.
    pub(super) confirm_window: Option<usize>,
    /// After how many deliveries the consumer acknowledges them; `None` consumes without acks.
    pub(super) ack_every: Option<u64>,
}

/// Without confirms nothing tells the publisher to wait for the consumer, and then the depth of the queue would be
/// measured instead of the way through it.
pub(super) const UNCONFIRMED_MAX: u64 = 100_000;

impl Workload {
    pub(super) const ALL: [Self; 3] = [
        Self {
            letter: "a",
            description: "1 KB persistent, confirm window 1000, ack per 100",
            body_bytes: 1024,
            persistent: true,
            confirm_window: Some(1000),
            ack_every: Some(100),
        },
        Self {
            letter: "b",
            description: "100 B transient, no confirm, no ack",
            body_bytes: 100,
            persistent: false,
            confirm_window: None,
            ack_every: None,
        },
        Self {
            letter: "c",
            description: "1 KB persistent, one at a time with confirm",
            body_bytes: 1024,
            persistent: true,
            confirm_window: Some(1),
            ack_every: Some(1),
        },
    ];
}

//! What is published, and how it is answered for.

/// A load of a few busy connections.
///
/// Publisher i publishes to queue i modulo the number of queues; of the consumers each takes its share of the queues, all on one
/// channel.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name, short.
    pub name: &'static str,
    /// Bytes of each body, at least 8.
    pub body_bytes: usize,
    /// Messages are persistent, and the queues durable.
    pub persistent: bool,
    /// Connections that publish.
    pub publishers: usize,
    /// Connections that consume.
    pub consumers: usize,
    /// Queues.
    pub queues: usize,
    /// Each message goes to all queues.
    pub fanout: bool,
    /// What tells a publisher that its messages are safe.
    pub safety: Safety,
    /// After how many deliveries a consumer acknowledges them; `None` consumes without acks.
    pub ack_every: Option<u64>,
    /// Messages a second and publisher; `None` for as many as go.
    pub rate_per_s: Option<u64>,
}

/// What tells a publisher that its messages are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Nothing.
    None,
    /// Confirms: so many publishes wait for theirs, at most.
    Confirms(u64),
    /// Transactions of so many publishes each, on so many channels at the same time.
    Transactions {
        /// Publishes of one.
        publishes: u64,
        /// Channels, each with one under way.
        channels: u16,
    },
}

impl Safety {
    /// Publishes that are made safe by one act.
    pub(crate) fn publishes_together(self) -> u64 {
        match self {
            Self::Transactions { publishes, .. } => publishes,
            Self::None | Self::Confirms(_) => 1,
        }
    }
}

/// Without confirms nothing tells a publisher to wait for the consumers, and then the depth of the queue would be measured instead
/// of the way through it.
pub(crate) const UNCONFIRMED_MAX: u64 = 100_000;

impl Workload {
    /// 1 KB persistent, confirmed, one publisher, one consumer.
    pub const A: Self = Self {
        name: "a",
        body_bytes: 1024,
        persistent: true,
        publishers: 1,
        consumers: 1,
        queues: 1,
        fanout: false,
        safety: Safety::Confirms(1000),
        ack_every: Some(100),
        rate_per_s: None,
    };
    /// 100 B transient, nothing is answered for.
    pub const B: Self = Self {
        name: "b",
        body_bytes: 100,
        persistent: false,
        safety: Safety::None,
        ack_every: None,
        ..Self::A
    };
    /// 1 KB persistent, one at a time.
    pub const C: Self = Self { name: "c", safety: Safety::Confirms(1), ack_every: Some(1), ..Self::A };
    /// 16 B persistent, several of everything.
    pub const SMALL: Self =
        Self { name: "small", body_bytes: 16, publishers: 4, consumers: 4, queues: 4, ..Self::A };
    /// 1 KB persistent, to ten queues at once.
    pub const FANOUT: Self = Self { name: "fanout", queues: 10, fanout: true, ..Self::A };
    /// 20,000 a second.
    pub const STEADY: Self =
        Self { name: "steady", safety: Safety::Confirms(100_000), rate_per_s: Some(20_000), ..Self::A };
    /// 100 KB persistent.
    pub const LARGE: Self = Self {
        name: "large",
        body_bytes: 100 * 1024,
        safety: Safety::Confirms(100),
        ack_every: Some(10),
        ..Self::A
    };
    /// 1 KB persistent, each delivery acked by itself.
    pub const ACK_ONE: Self = Self { name: "ack-one", ack_every: Some(1), ..Self::A };
    /// 1 KB persistent, in transactions of ten.
    pub const TX: Self =
        Self { name: "tx", safety: Safety::Transactions { publishes: 10, channels: 100 }, ..Self::A };

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::A,
        Self::B,
        Self::SMALL,
        Self::FANOUT,
        Self::C,
        Self::STEADY,
        Self::LARGE,
        Self::ACK_ONE,
        Self::TX,
    ];

    /// What it is, in a line.
    #[must_use]
    pub fn description(&self) -> String {
        let kind = if self.persistent { "persistent" } else { "transient" };
        let size = match self.body_bytes {
            bytes if bytes >= 1024 => format!("{} KB", bytes / 1024),
            bytes => format!("{bytes} B"),
        };
        let safety = match self.safety {
            Safety::None => "no confirms".to_owned(),
            Safety::Confirms(window) => format!("{window} unconfirmed"),
            Safety::Transactions { publishes, channels } => {
                format!("transactions of {publishes} on {channels} channels")
            }
        };
        let acks = self.ack_every.map_or("no acks".to_owned(), |every| format!("acks per {every}"));
        let Self { publishers, consumers, queues, .. } = self;
        let shape = match (publishers, consumers, queues) {
            (1, 1, 1) => String::new(),
            _ => format!(", {publishers} publishers, {consumers} consumers, {queues} queues"),
        };
        let rate = self.rate_per_s.map_or(String::new(), |rate| format!(", {rate}/s"));
        let fanout = if self.fanout { ", each message to all queues" } else { "" };
        format!("{size} {kind}, {safety}, {acks}{shape}{fanout}{rate}")
    }
}

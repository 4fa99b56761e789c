//! The rows of the table.

use bench::Workload;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row {
    /// A few busy connections.
    Load(Workload),
    /// `basic.get`, one by one.
    Get,
    /// Connections that do nothing.
    Idle,
    /// So many connections that do a little each, in so many virtual hosts.
    Crowd { name: &'static str, connections: usize, vhosts: usize },
    /// HTTP callers that wait for a worker on AMQP, so many at a time.
    Call(usize),
}

const fn crowd(name: &'static str, connections: usize, vhosts: usize) -> Row {
    Row::Crowd { name, connections, vhosts }
}

/// Messages a second of a crowd, of all together.
pub(super) const CROWD_PER_S: u64 = 10_000;
/// Connections that rest.
pub(super) const IDLE_CONNECTIONS: usize = 10_000;

impl Row {
    pub(super) const ALL: [Self; 17] = [
        Self::Load(Workload::A),
        Self::Load(Workload::B),
        Self::Load(Workload::SMALL),
        Self::Load(Workload::FANOUT),
        Self::Load(Workload::C),
        Self::Load(Workload::STEADY),
        Self::Load(Workload::LARGE),
        Self::Load(Workload::ACK_ONE),
        Self::Load(Workload::TX),
        Self::Get,
        Self::Idle,
        crowd("crowd-1", 1, 1),
        crowd("crowd-1000", 1000, 1),
        crowd("vhosts-1", 200, 1),
        crowd("vhosts-200", 200, 200),
        Self::Call(1),
        Self::Call(32),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Load(workload) => workload.name.to_owned(),
            Self::Get => "get".to_owned(),
            Self::Idle => "idle".to_owned(),
            Self::Crowd { name, .. } => name.to_owned(),
            Self::Call(callers) => format!("call-{callers}"),
        }
    }

    pub(super) fn description(self) -> String {
        match self {
            Self::Load(workload) => workload.description(),
            Self::Get => "100 B transient, basic.get one by one, no acks".to_owned(),
            Self::Idle => format!("{IDLE_CONNECTIONS} connections with a channel each, at rest"),
            Self::Crowd { connections, vhosts, .. } => format!(
                "1 KB persistent, {CROWD_PER_S}/s over {connections} connections with a queue each in {vhosts} virtual \
                 host(s), each acked by itself"
            ),
            Self::Call(callers) => format!("HTTP callers answered by an AMQP worker, {callers} at a time"),
        }
    }

    pub(super) fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|row| row.name() == name).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.into_iter().map(Self::name).collect();
            format!("there is no row `{name}`; there are {}", names.join(", "))
        })
    }
}

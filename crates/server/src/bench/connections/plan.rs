//! What fits into the limits of the machine.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::door::Door;
use super::{BenchError, Options, Protocol, Target};

/// What limits the connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Descriptors that the server's process may have open; `None` without a limit.
    pub(super) server_descriptors_max: Option<u64>,
    /// Descriptors that it has open already, or will need for something else than callers.
    pub(super) server_descriptors_used: u64,
    /// Descriptors that each client process may have open; `None` without a limit.
    pub(super) client_descriptors_max: Option<u64>,
    /// Connections for which there are ports.
    pub(super) ports_max: u64,
    /// Cores of the machine.
    pub(super) cores: u64,
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// One for each protocol.
    pub(super) loads: Vec<Load>,
    /// What is not as one could expect.
    pub(super) notices: Vec<String>,
}

/// The callers of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// How they come.
    pub(super) protocol: Protocol,
    /// How many connections.
    pub(super) connections: u64,
    /// How many calls on each.
    pub(super) streams: u64,
}

/// More connections than fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} connections of {} do not fit on this machine, {fit} do: {limit}", .protocol.name())]
pub(crate) struct PlanError {
    protocol: Protocol,
    asked: u64,
    fit: u64,
    limit: String,
}

/// Of a server: listeners, the journal's files, the connections of this process.
const SERVER_RESERVE: u64 = 100;
/// Of a client process: pipes and the runtime's own.
const CLIENT_RESERVE: u64 = 32;
const HTTP1_CONNECTIONS: u64 = 10_000;
const HTTP2_CONNECTIONS: u64 = 1_000;
/// One client process on one core keeps up with the sockets of about so many cores of a server.
const CORES_PER_CLIENT: u64 = 4;

impl Capacity {
    /// The limits of this machine for the server that the options name, or for one of one's own.
    pub(super) fn of(options: &Options) -> Result<Self, BenchError> {
        // Every process of this program raises its soft limit to the hard one, which it inherits.
        let own = getrlimit(Resource::Nofile).maximum;
        let (server_descriptors_max, open, ports_max) = match &options.target {
            None => (own, 0, Door::connections_max_to(std::net::Ipv4Addr::LOCALHOST.into())),
            Some(Target { process_id, http, .. }) => {
                let limits = fs::read_to_string(format!("/proc/{process_id}/limits"))
                    .map_err(|problem| BenchError::NoProcess { process_id: *process_id, problem })?;
                // Without the right to look it is assumed to be idle.
                let open = fs::read_dir(format!("/proc/{process_id}/fd")).map_or(0, Iterator::count);
                (open_files(&limits), open as u64, Door::connections_max_to(http.ip()))
            }
        };
        Ok(Self {
            server_descriptors_max,
            server_descriptors_used: open + u64::from(options.workers) + SERVER_RESERVE,
            client_descriptors_max: own,
            ports_max,
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        })
    }

    /// Connections of one client process.
    fn client_connections_max(&self) -> u64 {
        self.client_descriptors_max.map_or(u64::MAX, |maximum| maximum.saturating_sub(CLIENT_RESERVE).max(1))
    }

    /// How many client processes so many connections take.
    pub(super) fn clients(&self, connections: u64) -> u64 {
        let for_descriptors = connections.div_ceil(self.client_connections_max());
        for_descriptors.max(self.cores / CORES_PER_CLIENT).clamp(1, connections.max(1))
    }

    /// How many connections fit, and what would have to be raised for more.
    fn connections_max(&self) -> (u64, String) {
        let used = self.server_descriptors_used;
        match self.server_descriptors_max {
            Some(maximum) if maximum.saturating_sub(used) < self.ports_max => (
                maximum.saturating_sub(used),
                format!(
                    "the server's process may open {maximum} descriptors and needs {used} of them for other things. \
                     Raise its hard limit (`ulimit -Hn NUMBER` as root before the start, LimitNOFILE= for systemd, \
                     --ulimit nofile= for Docker)"
                ),
            ),
            _ => (
                self.ports_max,
                "there are no more ports for connections from one address to the server's. Let it listen on 127.0.0.1, \
                 which is reached from many addresses"
                    .to_owned(),
            ),
        }
    }
}

impl Plan {
    /// What was asked for, if it fits; what nobody asked for is cut to what fits, with a notice.
    ///
    /// # Errors
    /// When something asked for does not fit.
    pub(super) fn new(options: &Options, capacity: &Capacity) -> Result<Self, PlanError> {
        let mut plan = Self { loads: Vec::new(), notices: Vec::new() };
        let wishes = [
            (Protocol::Http1, options.http1_connections, HTTP1_CONNECTIONS, 1),
            (Protocol::Http2, options.http2_connections, HTTP2_CONNECTIONS, options.streams),
        ];
        for (protocol, asked, default, streams) in wishes {
            let connections = plan.fit(protocol, asked, default, capacity)?;
            if connections > 0 && streams > 0 {
                plan.loads.push(Load { protocol, connections, streams });
            }
        }
        Ok(plan)
    }

    fn fit(
        &mut self,
        protocol: Protocol,
        asked: Option<u64>,
        default: u64,
        capacity: &Capacity,
    ) -> Result<u64, PlanError> {
        let (fit, limit) = capacity.connections_max();
        let wanted = asked.unwrap_or(default);
        if wanted <= fit {
            return Ok(wanted);
        }
        let error = PlanError { protocol, asked: wanted, fit, limit };
        if asked.is_some() {
            return Err(error);
        }
        self.notices.push(format!("{error}. Going on with {fit}."));
        Ok(fit)
    }
}

impl Load {
    /// How many calls wait at once.
    pub(super) fn calls(&self) -> u64 {
        self.connections * self.streams
    }
}

/// The soft limit, in the text of `/proc/PID/limits`; `None` without a limit.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(descriptors: u64) -> Capacity {
        Capacity {
            server_descriptors_max: Some(descriptors),
            server_descriptors_used: 100,
            client_descriptors_max: Some(descriptors),
            ports_max: 25_000 * 254,
            cores: 2,
        }
    }

    fn options(http1_connections: Option<u64>, http2_connections: Option<u64>) -> Options {
        Options {
            binary: "forebay".into(),
            http1_connections,
            http2_connections,
            streams: 100,
            wait_s: 60,
            workers: 2,
            target: None,
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let plan = Plan::new(&options(None, None), &capacity(20_000)).unwrap();
        let loads = [
            Load { protocol: Protocol::Http1, connections: 10_000, streams: 1 },
            Load { protocol: Protocol::Http2, connections: 1_000, streams: 100 },
        ];
        assert_eq!((plan.loads, plan.notices), (loads.to_vec(), vec![]));
    }

    #[test]
    fn defaults_are_cut_to_what_fits_and_that_is_told() {
        let plan = Plan::new(&options(None, None), &capacity(4096)).unwrap();
        assert_eq!(plan.loads[0].connections, 3996);
        assert_eq!(plan.loads[1].connections, 1000);
        assert_eq!(plan.notices.len(), 1);
    }

    #[test]
    fn what_was_asked_for_and_does_not_fit_is_refused_with_number_limit_and_remedy() {
        let error = Plan::new(&options(Some(5000), None), &capacity(4096)).unwrap_err();
        assert_eq!(error.fit, 3996);
        let error = error.to_string();
        for part in ["5000", "3996", "4096", "ulimit -Hn", "LimitNOFILE"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(Plan::new(&options(Some(3996), None), &capacity(4096)).is_ok());
    }

    #[test]
    fn a_server_that_runs_already_has_its_own_limit_and_its_own_descriptors() {
        crate::limits::raise_descriptor_limit();
        let own = Capacity::of(&options(None, None)).unwrap();
        assert_eq!(own.server_descriptors_used, SERVER_RESERVE + 2);
        let address = "[::1]:15672".parse().unwrap();
        let url = "amqp://127.0.0.1".parse().unwrap();
        let target = |process_id| Some(Target { url, http: address, process_id });
        let theirs = Options { target: target(std::process::id()), ..options(None, None) };
        let theirs = Capacity::of(&theirs).unwrap();
        assert_eq!(theirs.server_descriptors_max, own.server_descriptors_max);
        assert!(theirs.server_descriptors_used > own.server_descriptors_used);
        assert_eq!(theirs.ports_max, 25_000);
    }

    #[test]
    fn ports_limit_where_there_are_descriptors_enough() {
        let mut capacity = capacity(1_000_000);
        capacity.ports_max = 25_000;
        let error = Plan::new(&options(Some(25_001), None), &capacity).unwrap_err();
        assert_eq!(error.fit, 25_000);
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn zero_connections_leave_a_protocol_out() {
        let plan = Plan::new(&options(Some(0), Some(3)), &capacity(4096)).unwrap();
        assert_eq!(plan.loads, [Load { protocol: Protocol::Http2, connections: 3, streams: 100 }]);
    }

    #[test]
    fn there_are_as_many_clients_as_descriptors_or_cores_ask_for() {
        assert_eq!(capacity(4096).clients(4000), 1);
        assert_eq!(capacity(4096).clients(4065), 2);
        assert_eq!(capacity(4096).clients(1), 1);
        assert_eq!(Capacity { cores: 32, ..capacity(4096) }.clients(4000), 8);
        assert_eq!(Capacity { cores: 32, ..capacity(4096) }.clients(3), 3);
        assert_eq!(Capacity { client_descriptors_max: None, ..capacity(4096) }.clients(1_000_000), 1);
    }

    #[test]
    fn the_limit_of_another_process_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95031                95031                processes \n\
                      Max open files            20000                20000                files     \n";
        assert_eq!(open_files(limits), Some(20_000));
        assert_eq!(open_files(&limits.replace("20000", "unlimited")), None);
        // Another test may raise it meanwhile; after this nothing changes it any more.
        crate::limits::raise_descriptor_limit();
        let own = open_files(&fs::read_to_string("/proc/self/limits").unwrap());
        assert_eq!(own, getrlimit(Resource::Nofile).current);
    }
}

//! What an operator can choose.
//!
//! Every setting is defined once, in [`DEFINITIONS`]: its key in the file, its flag, its environment
//! variable, unit, default and bounds. A flag wins over an environment variable, that over the file, that
//! over the default.

mod definition;
mod reference;
mod source;

use std::path::PathBuf;
use std::time::Duration;

pub use definition::{DEFINITIONS, Definition, Kind};
pub use reference::reference;
pub use source::{SettingsError, Sources};

use crate::users::Users;

/// Everything that an operator can choose, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory. Created if it is missing; held by one server at a time.
    pub data: PathBuf,
    /// Name under which clients and dashboards see this broker.
    pub cluster_name: String,
    /// Virtual hosts; each has its own queues, exchanges and order of events.
    pub vhosts: Vec<String>,
    /// Who may log in.
    pub users: Users,
    /// How long a stopping server waits for its clients to answer its goodbye.
    pub shutdown_timeout: Duration,
    /// Threads that serve sockets; 0 takes one for every two cores.
    pub threads: usize,
    /// The AMQP side.
    pub amqp: AmqpSettings,
    /// The HTTP side.
    pub http: HttpSettings,
    /// What is kept in memory.
    pub cache: CacheSettings,
    /// The disk.
    pub storage: StorageSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// Settings of the AMQP listeners and connections.
#[derive(Clone, Debug)]
pub struct AmqpSettings {
    /// Where to listen.
    pub listen: Listen,
    /// The largest frame offered to clients, in bytes.
    pub frame_max_bytes: u32,
    /// The largest number of channels of a connection.
    pub channel_max: u16,
    /// The heartbeat interval offered to clients, in seconds; 0 offers none.
    pub heartbeat_s: u16,
    /// The largest body of a message, in bytes.
    pub message_bytes_max: u64,
    /// From the first byte to a connection ready for use.
    pub handshake_timeout: Duration,
    /// The product name that clients are told.
    pub product: String,
    /// The version that clients are told, as `x.y.z`.
    pub version: String,
}

/// Settings of the HTTP listeners.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where to listen.
    pub listen: Listen,
    /// The longest time that a request may wait for an outcome.
    pub wait_max: Duration,
    /// The largest body of a request, in bytes.
    pub body_bytes_max: usize,
}

/// What is kept in memory.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Budget for bodies of waiting messages, in bytes, over all virtual hosts; what is beyond is read back
    /// from disk.
    pub bodies_bytes: u64,
    /// Budget for what is known of waiting messages beside their bodies, in bytes, over all virtual hosts; what is beyond is read
    /// back from the checkpoints.
    pub state_bytes: u64,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// What publishes leave alone of the disk, in bytes, over all virtual hosts, so that what makes room has room itself.
    pub reserve_bytes: u64,
}

impl StorageSettings {
    /// With less a virtual host could not be sure to write its next checkpoint.
    const RESERVE_BYTES_MIN: u64 = 1 << 20;

    /// What each of so many virtual hosts keeps, in bytes.
    pub(crate) fn reserve_bytes_of_each(&self, vhosts: usize) -> u64 {
        (self.reserve_bytes / vhosts.max(1) as u64).max(Self::RESERVE_BYTES_MIN)
    }
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The least important kind of event that is logged.
    pub level: tracing::Level,
    /// How an event is written.
    pub format: LogFormat,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Addresses to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Each `host:port`; port 0 takes any free one.
    pub addresses: Vec<String>,
    /// The operator named them. Then each must work; of the default ones those may be missing whose
    /// address family the machine does not have.
    pub asked_for: bool,
}

impl Settings {
    /// A frame of settings for the definitions to fill in. None of these values is ever seen.
    fn blank() -> Self {
        Self {
            data: PathBuf::new(),
            cluster_name: String::new(),
            vhosts: Vec::new(),
            users: Users::default(),
            shutdown_timeout: Duration::ZERO,
            threads: 0,
            amqp: AmqpSettings {
                listen: Listen::default(),
                frame_max_bytes: 0,
                channel_max: 0,
                heartbeat_s: 0,
                message_bytes_max: 0,
                handshake_timeout: Duration::ZERO,
                product: String::new(),
                version: String::new(),
            },
            http: HttpSettings { listen: Listen::default(), wait_max: Duration::ZERO, body_bytes_max: 0 },
            cache: CacheSettings { bodies_bytes: 0, state_bytes: 0 },
            storage: StorageSettings { reserve_bytes: 0 },
            log: LogSettings { level: tracing::Level::INFO, format: LogFormat::Human },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self::blank();
        for definition in DEFINITIONS {
            let values: Vec<String> = definition.default.iter().map(|value| (*value).to_owned()).collect();
            definition.assign(&mut settings, &values).expect("every default is within its own bounds");
        }
        settings.amqp.listen.asked_for = false;
        settings.http.listen.asked_for = false;
        settings
    }
}

//! The one list of settings.

use std::time::Duration;

use super::{Listen, LogFormat, Settings};
use crate::users::{PasswordHash, Users};

/// One setting.
#[derive(Debug)]
pub struct Definition {
    /// Its place in the file: `amqp.frame_max_bytes` is `frame_max_bytes` in the table `[amqp]`.
    pub key: &'static str,
    /// Its flag, without the dashes. The environment variable follows from it, see [`Definition::variable`].
    pub flag: &'static str,
    /// Its value when nobody says anything; several for a list.
    pub default: &'static [&'static str],
    /// What it does, in one or two sentences.
    pub about: &'static str,
    /// What values it takes.
    pub kind: Kind,
}

/// What values a setting takes, and where they go.
#[derive(Debug)]
pub enum Kind {
    /// A whole number.
    Integer {
        /// What is counted.
        unit: &'static str,
        /// The smallest value.
        minimum: u64,
        /// The largest value.
        maximum: u64,
        /// Stores a value within the bounds.
        assign: fn(&mut Settings, u64),
    },
    /// One of a few words.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// Stores one of the words.
        assign: fn(&mut Settings, &str),
    },
    /// A text.
    Text {
        /// What it has to look like, in words.
        form: &'static str,
        /// Stores it, or says what is wrong with it.
        assign: fn(&mut Settings, &str) -> Result<(), String>,
    },
    /// Any number of texts: the flag is repeated, the environment variable separates them by commas.
    List {
        /// What each has to look like, in words.
        form: &'static str,
        /// Stores them, or says what is wrong with one.
        assign: fn(&mut Settings, &[String]) -> Result<(), String>,
    },
}

/// All settings, in the order of the reference.
pub static DEFINITIONS: &[Definition] = &[
    Definition {
        key: "data",
        flag: "data",
        default: &["./forebay-data"],
        about: "The data directory. Created if it is missing; one server at a time holds it.",
        kind: Kind::Text {
            form: "a directory",
            assign: |settings, text| {
                not_empty(text)?;
                settings.data = text.into();
                Ok(())
            },
        },
    },
    Definition {
        key: "vhosts",
        flag: "vhost",
        default: &["/"],
        about: "Virtual hosts. Each has its own exchanges, queues and log.",
        kind: Kind::List {
            form: "a name of 1 to 60 bytes",
            assign: |settings, names| {
                if names.is_empty() {
                    return Err("at least one virtual host is needed".to_owned());
                }
                for (index, name) in names.iter().enumerate() {
                    if name.is_empty() || name.len() > VHOST_NAME_BYTES_MAX {
                        return Err(format!(
                            "'{name}' has {} bytes, 1 to {VHOST_NAME_BYTES_MAX} fit",
                            name.len()
                        ));
                    }
                    if names[..index].contains(name) {
                        return Err(format!("'{name}' is there twice"));
                    }
                }
                settings.vhosts = names.to_vec();
                Ok(())
            },
        },
    },
    Definition {
        key: "users",
        flag: "user",
        default: &[],
        about: "Users beside the built-in `guest` (password `guest`). In the file a table from name to hash; \
                `forebay hash-password` makes one. An empty hash locks the user out, `guest` too.",
        kind: Kind::List {
            form: "`name:hash`, the hash as in RabbitMQ's definitions (SHA-256)",
            assign: |settings, entries| {
                let mut users = Users::with_guest();
                for entry in entries {
                    let (name, hash) = entry
                        .rsplit_once(':')
                        .ok_or_else(|| format!("'{entry}' has no ':' before the hash"))?;
                    let hash = match hash {
                        "" => None,
                        hash => Some(
                            hash.parse::<PasswordHash>()
                                .map_err(|error| format!("user '{name}': {error}"))?,
                        ),
                    };
                    users.insert(name, hash);
                }
                users.set_loopback_only(settings.users.loopback_only().to_vec());
                settings.users = users;
                Ok(())
            },
        },
    },
    Definition {
        key: "loopback_users",
        flag: "loopback-user",
        default: &["guest"],
        about: "Users who may log in from this machine only.",
        kind: Kind::List {
            form: "a user's name",
            assign: |settings, names| {
                settings.users.set_loopback_only(names.to_vec());
                Ok(())
            },
        },
    },
    Definition {
        key: "cluster_name",
        flag: "cluster-name",
        default: &["forebay"],
        about: "The name under which clients and dashboards see this broker.",
        kind: Kind::Text {
            form: "1 to 200 bytes",
            assign: |settings, text| {
                short_text(text)?;
                settings.cluster_name = text.to_owned();
                Ok(())
            },
        },
    },
    Definition {
        key: "shutdown_timeout_ms",
        flag: "shutdown-timeout-ms",
        default: &["10000"],
        about: "How long a stopping server waits for its clients to answer its goodbye.",
        kind: Kind::Integer {
            unit: "milliseconds",
            minimum: 0,
            maximum: 600_000,
            assign: |settings, number| settings.shutdown_timeout = Duration::from_millis(number),
        },
    },
    Definition {
        key: "threads",
        flag: "threads",
        default: &["0"],
        about: "Threads that serve sockets; the disk has others. 0 takes one for every two cores.",
        kind: Kind::Integer {
            unit: "threads",
            minimum: 0,
            maximum: 1024,
            assign: |settings, number| settings.threads = number as usize,
        },
    },
    Definition {
        key: "amqp.listen",
        flag: "amqp",
        default: &["127.0.0.1:5672", "[::1]:5672"],
        about: "Where to listen for AMQP 0-9-1. Port 0 takes any free one.",
        kind: Kind::List {
            form: "`host:port`",
            assign: |settings, addresses| {
                settings.amqp.listen = listen(addresses)?;
                Ok(())
            },
        },
    },
    Definition {
        key: "amqp.frame_max_bytes",
        flag: "amqp-frame-max-bytes",
        default: &["131072"],
        about: "The largest frame offered to clients; they may ask for less, down to 4096.",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 8192,
            maximum: 1_048_576,
            assign: |settings, number| settings.amqp.frame_max_bytes = number as u32,
        },
    },
    Definition {
        key: "amqp.channel_max",
        flag: "amqp-channel-max",
        default: &["2047"],
        about: "The largest number of channels of one connection.",
        kind: Kind::Integer {
            unit: "channels",
            minimum: 1,
            maximum: 65_535,
            assign: |settings, number| settings.amqp.channel_max = number as u16,
        },
    },
    Definition {
        key: "amqp.heartbeat_s",
        flag: "amqp-heartbeat-s",
        default: &["60"],
        about: "The heartbeat interval offered to clients, who have the last word. 0 offers none.",
        kind: Kind::Integer {
            unit: "seconds",
            minimum: 0,
            maximum: 65_535,
            assign: |settings, number| settings.amqp.heartbeat_s = number as u16,
        },
    },
    Definition {
        key: "amqp.message_bytes_max",
        flag: "amqp-message-bytes-max",
        default: &["134217728"],
        about: "The largest body of a message. A larger one closes its channel with 406.",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 1,
            maximum: 536_870_912,
            assign: |settings, number| settings.amqp.message_bytes_max = number,
        },
    },
    Definition {
        key: "amqp.handshake_timeout_ms",
        flag: "amqp-handshake-timeout-ms",
        default: &["10000"],
        about: "How long a new connection may take until it is ready for use; then it is dropped.",
        kind: Kind::Integer {
            unit: "milliseconds",
            minimum: 100,
            maximum: 600_000,
            assign: |settings, number| settings.amqp.handshake_timeout = Duration::from_millis(number),
        },
    },
    Definition {
        key: "amqp.product",
        flag: "amqp-product",
        default: &["Forebay"],
        about: "The product name that clients are told. Some libraries look for `RabbitMQ` and then choose other defaults.",
        kind: Kind::Text {
            form: "1 to 200 bytes",
            assign: |settings, text| {
                short_text(text)?;
                settings.amqp.product = text.to_owned();
                Ok(())
            },
        },
    },
    Definition {
        key: "amqp.version",
        flag: "amqp-version",
        default: &["4.2.0"],
        about: "The version that clients are told: that of the RabbitMQ whose behaviour they can expect, not Forebay's own.",
        kind: Kind::Text {
            form: "`x.y.z`, at least 3.13.0",
            assign: |settings, text| {
                check_version(text)?;
                settings.amqp.version = text.to_owned();
                Ok(())
            },
        },
    },
    Definition {
        key: "http.listen",
        flag: "http",
        default: &["127.0.0.1:15672", "[::1]:15672"],
        about: "Where to listen for HTTP: tasks under `/v1`, `/healthz` and `/metrics`. Port 0 takes any free one.",
        kind: Kind::List {
            form: "`host:port`",
            assign: |settings, addresses| {
                settings.http.listen = listen(addresses)?;
                Ok(())
            },
        },
    },
    Definition {
        key: "http.max_wait_s",
        flag: "http-max-wait-s",
        default: &["60"],
        about: "The longest time that a request may wait for an outcome (`Prefer: wait=N`); a longer wish is cut. Many \
                proxies cut silent connections after 60 s.",
        kind: Kind::Integer {
            unit: "seconds",
            minimum: 1,
            maximum: 86_400,
            assign: |settings, number| settings.http.wait_max = Duration::from_secs(number),
        },
    },
    Definition {
        key: "http.body_bytes_max",
        flag: "http-body-bytes-max",
        default: &["16777216"],
        about: "The largest body of a request. A larger one is answered with 413.",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 1024,
            maximum: 536_870_912,
            assign: |settings, number| settings.http.body_bytes_max = number as usize,
        },
    },
    Definition {
        key: "cache.bodies_bytes",
        flag: "cache-bodies-bytes",
        default: &["268435456"],
        about: "Memory for the bodies of waiting messages, shared by all virtual hosts. Bodies beyond it are read back from disk.",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 1_048_576,
            maximum: 1 << 40,
            assign: |settings, number| settings.cache.bodies_bytes = number,
        },
    },
    Definition {
        key: "cache.state_bytes",
        flag: "cache-state-bytes",
        default: &["67108864"],
        about: "Memory for what is known of waiting messages beside their bodies, about four bytes each, shared by all virtual \
                hosts. What is beyond it is read back from the checkpoints.",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 1_048_576,
            maximum: 1 << 40,
            assign: |settings, number| settings.cache.state_bytes = number,
        },
    },
    Definition {
        key: "storage.reserve_bytes",
        flag: "storage-reserve-bytes",
        default: &["33554432"],
        about: "What is kept of the disk, shared by all virtual hosts and at least 1 MiB for each, so that acknowledging and \
                deleting go on when it is full and publishes are refused; see [a full disk](full-disk.md).",
        kind: Kind::Integer {
            unit: "bytes",
            minimum: 1_048_576,
            maximum: 1 << 40,
            assign: |settings, number| settings.storage.reserve_bytes = number,
        },
    },
    Definition {
        key: "log.level",
        flag: "log-level",
        default: &["info"],
        about: "The least important kind of event that is logged.",
        kind: Kind::Choice {
            words: &["error", "warn", "info", "debug", "trace"],
            assign: |settings, word| settings.log.level = word.parse().expect("the words are tracing's own"),
        },
    },
    Definition {
        key: "log.format",
        flag: "log-format",
        default: &["human"],
        about: "How an event is written to standard error: a line for people or one JSON object a line.",
        kind: Kind::Choice {
            words: &["human", "json"],
            assign: |settings, word| {
                settings.log.format = if word == "json" { LogFormat::Json } else { LogFormat::Human };
            },
        },
    },
];

/// Longest name of a virtual host, in bytes: escaped threefold it still names a log.
const VHOST_NAME_BYTES_MAX: usize = 60;

impl Definition {
    /// The environment variable: `FOREBAY_` and the flag in capitals.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("FOREBAY_{}", self.flag.replace('-', "_").to_ascii_uppercase())
    }

    /// Whether it takes several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List { .. })
    }

    /// What values it takes, in words.
    #[must_use]
    pub fn values(&self) -> String {
        match &self.kind {
            Kind::Integer { unit, minimum, maximum, .. } => format!("{unit}, {minimum} to {maximum}"),
            Kind::Choice { words, .. } => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Kind::Text { form, .. } => (*form).to_owned(),
            Kind::List { form, .. } => format!("any number of: {form}"),
        }
    }

    /// Checks the values and stores them.
    ///
    /// # Errors
    /// What is wrong with them, without naming the setting.
    pub(super) fn assign(&self, settings: &mut Settings, values: &[String]) -> Result<(), String> {
        if let Kind::List { assign, .. } = &self.kind {
            return assign(settings, values);
        }
        let [value] = values else {
            return Err(format!("takes one value, not {}", values.len()));
        };
        match &self.kind {
            Kind::Integer { unit, minimum, maximum, assign } => match value.parse() {
                Ok(number) if (*minimum..=*maximum).contains(&number) => assign(settings, number),
                _ => {
                    return Err(format!(
                        "'{value}' is not a number of {unit} between {minimum} and {maximum}"
                    ));
                }
            },
            Kind::Choice { words, assign } => match words.iter().find(|word| *word == value) {
                Some(word) => assign(settings, word),
                None => return Err(format!("'{value}' is none of {}", words.join(", "))),
            },
            Kind::Text { assign, .. } => assign(settings, value)?,
            Kind::List { .. } => unreachable!("dealt with above"),
        }
        Ok(())
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) }
}

fn short_text(text: &str) -> Result<(), String> {
    match text.len() {
        1..=200 => Ok(()),
        length => Err(format!("'{text}' has {length} bytes, 1 to 200 fit")),
    }
}

fn listen(addresses: &[String]) -> Result<Listen, String> {
    for address in addresses {
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!(
                "'{address}' is not of the form host:port, such as 127.0.0.1:5672 or [::1]:5672"
            ));
        }
    }
    Ok(Listen { addresses: addresses.to_vec(), asked_for: true })
}

/// Clients take the version apart and switch features by it: anything below 3.13 would turn some off.
fn check_version(text: &str) -> Result<(), String> {
    let numbers: Vec<u32> = text.split('.').map_while(|part| part.parse().ok()).collect();
    match numbers[..] {
        [major, minor, _] if text.split('.').count() == 3 && (major, minor) >= (3, 13) => Ok(()),
        _ => Err(format!("'{text}' is not of the form x.y.z with at least 3.13.0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(key: &str, values: &[&str]) -> Result<Settings, String> {
        let definition = DEFINITIONS.iter().find(|definition| definition.key == key).unwrap();
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let mut settings = Settings::default();
        definition.assign(&mut settings, &values).map(|()| settings)
    }

    #[test]
    fn flags_and_keys_are_unique() {
        for (index, definition) in DEFINITIONS.iter().enumerate() {
            for other in &DEFINITIONS[..index] {
                assert_ne!(definition.key, other.key);
                assert_ne!(definition.flag, other.flag);
            }
        }
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(assign("amqp.channel_max", &["65535"]).unwrap().amqp.channel_max, 65_535);
        assert_eq!(
            assign("amqp.channel_max", &["65536"]).unwrap_err(),
            "'65536' is not a number of channels between 1 and 65535"
        );
        assert!(assign("amqp.channel_max", &["-1"]).is_err());
        assert!(assign("log.level", &["loud"]).is_err());
        assert!(assign("vhosts", &["a", "a"]).is_err());
        assert!(assign("vhosts", &[]).is_err());
    }

    #[test]
    fn the_reserve_is_shared_down_to_what_each_virtual_host_needs() {
        let storage = assign("storage.reserve_bytes", &["33554432"]).unwrap().storage;
        assert_eq!(storage.reserve_bytes_of_each(1), 32 << 20);
        assert_eq!(storage.reserve_bytes_of_each(8), 4 << 20);
        assert_eq!(storage.reserve_bytes_of_each(1000), 1 << 20);
    }

    #[test]
    fn versions_that_switch_client_features_off_are_refused() {
        for good in ["3.13.0", "4.2.9", "10.0.0"] {
            assign("amqp.version", &[good]).unwrap();
        }
        for bad in ["3.12.9", "4.2", "4.2.x", "4.2.0.1", "four", ""] {
            assert!(assign("amqp.version", &[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_need_host_and_port() {
        for good in ["127.0.0.1:5672", "[::1]:0", "localhost:5672"] {
            assign("amqp.listen", &[good]).unwrap();
        }
        for bad in ["5672", ":5672", "localhost", "localhost:port", "127.0.0.1:70000"] {
            assert!(assign("amqp.listen", &[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn users_and_loopback_users_do_not_overwrite_each_other() {
        let mut settings = assign("loopback_users", &["alice"]).unwrap();
        let users = DEFINITIONS.iter().find(|definition| definition.key == "users").unwrap();
        users.assign(&mut settings, &["alice:".to_owned()]).unwrap();
        assert_eq!(settings.users.loopback_only(), ["alice"]);
    }
}

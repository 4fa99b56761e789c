//! What a server offers its clients and asks of them.

/// The settings of all connections of a server. Shared, never changed while connections use them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest frame offered, in bytes, overhead included. Default 131,072; at least 4096. The client may take
    /// less, not more.
    pub frame_max: u32,
    /// How many channels of one connection are offered. Default 2047; 0 offers no limit. The client may take less.
    pub channel_max: u16,
    /// The heartbeat interval offered, in seconds. Default 60; 0 for none. The client's answer rules.
    pub heartbeat_s: u16,
    /// The longest body taken, in bytes. Default 128 MiB; at most [`Settings::MESSAGE_BYTES_TOP`]. A longer one is
    /// read to its end and closes its channel with 406.
    pub message_bytes_max: u64,
    /// How long a client may take from connecting to `connection.open-ok`, in milliseconds. Default 10,000. After
    /// that the connection is closed without a word.
    pub handshake_timeout_ms: u64,
    /// The name that clients see. Default `Forebay`. Some libraries treat `RabbitMQ` in a special way.
    pub product: String,
    /// The version that clients see. Default `4.2.0`: libraries compare it with RabbitMQ's versions to see what
    /// the server can do, so it has to be three numbers with dots, and at least 3.13.0.
    pub version: String,
    /// Where the server runs. Default `Rust`.
    pub platform: String,
    /// Shown by some tools. Default names the project.
    pub copyright: String,
    /// Shown by some tools. Default names the licence.
    pub information: String,
    /// The name of the cluster that clients see. Default `forebay`.
    pub cluster_name: String,
}

impl Settings {
    /// No body is ever longer, in bytes, whatever the settings: RabbitMQ's top of 512 MiB. Announcing a longer one
    /// ends the connection with 501.
    pub const MESSAGE_BYTES_TOP: u64 = 512 * 1024 * 1024;

    /// The smallest frame size that a client may ask for, in bytes. RabbitMQ asks for 8192 since 4.1, which shuts
    /// out older clients that ask for 4096; both are served here.
    pub const FRAME_MAX_LEAST: u32 = 4096;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat_s: 60,
            message_bytes_max: 128 * 1024 * 1024,
            handshake_timeout_ms: 10_000,
            product: "Forebay".into(),
            version: "4.2.0".into(),
            platform: "Rust".into(),
            copyright: "The Forebay authors".into(),
            information: "Licensed under the Apache License 2.0".into(),
            cluster_name: "forebay".into(),
        }
    }
}

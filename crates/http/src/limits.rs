//! The bounds of the HTTP side.

use std::time::Duration;

/// Bounds of all HTTP connections together and of each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest time that a request may wait for an outcome. Default 60 s. A longer wish is cut, and the answer says so.
    ///
    /// Common proxies cut a silent connection after 60 s, so clients do best with up to 55.
    pub wait_max: Duration,
    /// Bytes of the body of a request. Default 16 MiB. A longer one is answered 413.
    pub body_bytes_max: usize,
    /// Bytes of bodies that are being received, over all connections. Default 256 MiB, at least `body_bytes_max`.
    ///
    /// Requests beyond it wait a while for room, and are then answered 503.
    pub bodies_bytes_max: usize,
    /// How long a client may be silent in the middle of a body. Default 30 s; then it is answered 408.
    pub body_timeout: Duration,
    /// How long the head of a request may take from its first byte, and a new connection until that. Default 30 s.
    pub head_timeout: Duration,
    /// How long a connection is kept between two requests. Default 5 min.
    pub idle_timeout: Duration,
    /// How long nothing happens on an HTTP/1.1 connection, or its call waits, before all is given back but the socket and
    /// the call. Default 50 ms.
    pub rest_after: Duration,
    /// Bytes of the head of a request. Default 32 KiB, at least 8 KiB. A longer one is answered 431.
    pub head_bytes_max: u32,
    /// Requests under way on one HTTP/2 connection. Default 512; clients are told, and wait.
    pub streams_max: u32,
    /// How often a silent stream of events sends a comment, so that nobody on the way takes it for dead. Default 15 s.
    pub event_keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_secs(60),
            body_bytes_max: 16 * 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            rest_after: Duration::from_millis(50),
            head_bytes_max: 32 * 1024,
            streams_max: 512,
            event_keep_alive: Duration::from_secs(15),
        }
    }
}

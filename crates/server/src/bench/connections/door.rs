//! Where the server's HTTP API is, and who to be there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::Url;

/// The way to the HTTP API.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Door {
    /// Its address.
    pub(super) address: SocketAddr,
    /// The value of the header `Authorization`.
    pub(super) authorization: String,
    /// The value of the header `Vhost`.
    pub(super) vhost: String,
}

/// A request to the API, for either protocol.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// `GET`, `PUT`, ...
    pub(super) method: &'static str,
    /// The path; in it nothing is left that has to be escaped.
    pub(super) path: String,
    /// How long the server shall hold the answer back at most, in seconds (`Prefer: wait`).
    pub(super) wait_s: Option<u32>,
    /// The type of the body, if there is one.
    pub(super) content_type: Option<&'static str>,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// An answer of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Connections from one address of this machine to one address of the server. Each takes a port of the
/// system's range for such uses, which has 28,232 by default on Linux.
pub(super) const CONNECTIONS_MAX_FROM_AN_ADDRESS: u64 = 25_000;
/// Usable addresses `127.0.0.1` to `127.0.0.254`; a machine has more, but nobody so many descriptors.
const LOOPBACK_ADDRESSES: u64 = 254;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

impl Door {
    /// The API at this address, for the user and the virtual host of this URL.
    pub(super) fn new(address: SocketAddr, url: &Url) -> Self {
        let login = STANDARD.encode(format!("{}:{}", url.user, url.password));
        Self { address, authorization: format!("Basic {login}"), vhost: url.vhost.clone() }
    }

    /// How many connections to this address this machine has ports for.
    pub(super) fn connections_max_to(address: IpAddr) -> u64 {
        let addresses = if has_many_sources(address) { LOOPBACK_ADDRESSES } else { 1 };
        CONNECTIONS_MAX_FROM_AN_ADDRESS * addresses
    }

    /// Opens one of many connections; its number decides from which address.
    pub(super) async fn connect(&self, number: u64) -> std::io::Result<TcpStream> {
        let socket = if self.address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        if let Some(source) = self.source(number) {
            socket.bind(SocketAddr::from((source, 0)))?;
        }
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(self.address)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The first addresses' worth of connections leave the choice to the system.
    fn source(&self, number: u64) -> Option<Ipv4Addr> {
        let nth = u8::try_from(number / CONNECTIONS_MAX_FROM_AN_ADDRESS + 1).ok()?;
        (nth > 1 && has_many_sources(self.address.ip())).then_some(Ipv4Addr::new(127, 0, 0, nth))
    }
}

impl Request {
    /// A call of the task queue: the answer is the worker's.
    pub(super) fn call(queue: &str, wait_s: u32, body: Vec<u8>) -> Self {
        Self {
            method: "POST",
            path: format!("{}/call", queue_path(queue)),
            wait_s: Some(wait_s),
            content_type: Some("application/octet-stream"),
            body,
        }
    }

    /// A look at the queue: the smallest request that needs a login.
    pub(super) fn look(queue: &str) -> Self {
        Self::plain("GET", queue)
    }

    /// Makes the task queue.
    pub(super) fn declare(queue: &str) -> Self {
        Self {
            content_type: Some("application/json"),
            body: br#"{"task_queue":true}"#.to_vec(),
            ..Self::plain("PUT", queue)
        }
    }

    /// Removes the queue with what is in it.
    pub(super) fn delete(queue: &str) -> Self {
        Self::plain("DELETE", queue)
    }

    fn plain(method: &'static str, queue: &str) -> Self {
        Self { method, path: queue_path(queue), wait_s: None, content_type: None, body: Vec::new() }
    }
}

impl Answer {
    /// Whether the server did what it was asked.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What the server said, shortened for people.
impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN_BYTES: usize = 300;
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN_BYTES)]);
        write!(formatter, "{} {}", self.status, body.trim_end())
    }
}

/// Credentials stay out of logs.
impl std::fmt::Debug for Door {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Door({}, vhost {})", self.address, self.vhost)
    }
}

/// All of 127.0.0.0/8 is this machine.
fn has_many_sources(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_loopback())
}

fn queue_path(queue: &str) -> String {
    format!("/v1/queues/{queue}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(address: &str) -> Door {
        Door::new(address.parse().unwrap(), &"amqp://guest:guest@127.0.0.1:5672".parse().unwrap())
    }

    #[test]
    fn many_connections_to_this_machine_come_from_several_addresses() {
        let door = door("127.0.0.1:15692");
        assert_eq!(door.source(0), None);
        assert_eq!(door.source(CONNECTIONS_MAX_FROM_AN_ADDRESS - 1), None);
        assert_eq!(door.source(CONNECTIONS_MAX_FROM_AN_ADDRESS), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(
            door.source(Door::connections_max_to(door.address.ip()) - 1),
            Some(Ipv4Addr::new(127, 0, 0, 254))
        );
    }

    #[test]
    fn other_machines_and_ipv6_are_reached_from_one_address() {
        for address in ["192.0.2.1:80", "[::1]:80"] {
            let door = door(address);
            assert_eq!(Door::connections_max_to(door.address.ip()), CONNECTIONS_MAX_FROM_AN_ADDRESS);
            assert_eq!(door.source(CONNECTIONS_MAX_FROM_AN_ADDRESS - 1), None);
            assert_eq!(door.source(CONNECTIONS_MAX_FROM_AN_ADDRESS), None);
        }
    }

    #[tokio::test]
    async fn a_connection_beyond_the_first_address_leaves_from_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = door(&listener.local_addr().unwrap().to_string());
        let _stream = door.connect(CONNECTIONS_MAX_FROM_AN_ADDRESS).await.unwrap();
        let (_accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 2));
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(format!("{:?}", door("127.0.0.1:1")), "Door(127.0.0.1:1, vhost /)");
        assert_eq!(door("127.0.0.1:1").authorization, "Basic Z3Vlc3Q6Z3Vlc3Q=");
    }
}

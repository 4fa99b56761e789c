//! What the conversations share.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use amqp_wire::{Properties, ShortString, Value, basic, hot, queue};
use tempfile::TempDir;
use testkit::amqp::Peer;
use testkit::server::{ForebayServer, ServerOptions};

/// A server on a fresh data directory; both go when it is dropped.
pub(crate) struct Fresh {
    pub(crate) server: ForebayServer,
    pub(crate) folder: TempDir,
}

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_forebay");

impl Fresh {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments, Vec::new())
    }

    /// With its data in the folder `data` of this one, which may be there already.
    pub(crate) fn start_in(folder: TempDir, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let mut options = ServerOptions::new(BINARY, folder.path().join("data"));
        options.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        options.environment = environment;
        Self { server: ForebayServer::start(options).unwrap(), folder }
    }

    /// A client with channel 1 open.
    pub(crate) fn client(&self) -> Peer {
        let mut peer = Peer::open(&self.server.endpoint()).unwrap();
        peer.open_channel(1).unwrap();
        peer
    }

    /// A client with channel 1 open, whose publishes are confirmed.
    pub(crate) fn publisher(&self) -> Peer {
        let mut peer = Peer::open(&self.server.endpoint()).unwrap();
        peer.open_confirm_channel(1).unwrap();
        peer
    }

    /// A series of `/metrics` that has no labels.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        metric(&self.http("GET", "/metrics"), series)
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://{}", self.server.endpoint().address)
    }

    /// The answer to an HTTP request, head and body.
    pub(crate) fn http(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.server.http_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// The value of a series in an answer of `/metrics`.
pub(crate) fn metric(answer: &str, series: &str) -> u64 {
    let line = answer.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {answer}")).parse().unwrap()
}

/// The program with these arguments.
pub(crate) fn forebay(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command
}

pub(crate) fn name(text: &str) -> ShortString {
    ShortString::try_from(text).unwrap()
}

/// Declares a queue with the default arguments and returns how many messages are ready in it.
pub(crate) fn declare(peer: &mut Peer, queue: &str, durable: bool) -> u32 {
    let declare = queue::Declare { queue: name(queue), durable, ..queue::Declare::default() };
    let answer: queue::DeclareOk = peer.call(1, declare).unwrap();
    answer.message_count
}

pub(crate) fn publish(peer: &mut Peer, queue: &str, persistent: bool, body: &[u8]) {
    let delivery_mode = Some(if persistent { 2 } else { 1 });
    let properties = Properties { delivery_mode, ..Properties::default() }.to_bytes();
    let publication = hot::Publication { exchange: b"", routing_key: queue.as_bytes(), mandatory: false };
    peer.publish(1, &publication, &properties, body).unwrap();
}

/// Waits until the broker has confirmed this publish and all before it.
pub(crate) fn expect_confirm(peer: &mut Peer, number: u64) {
    loop {
        let ack: basic::Ack = peer.expect(1).unwrap();
        if ack.delivery_tag >= number {
            return;
        }
    }
}

pub(crate) fn consume(peer: &mut Peer, queue: &str, no_ack: bool) {
    let consume = basic::Consume { queue: name(queue), no_ack, ..basic::Consume::default() };
    let _: basic::ConsumeOk = peer.call(1, consume).unwrap();
}

/// A value of the server's greeting, as text.
pub(crate) fn greeting(table: &amqp_wire::Table, key: &str) -> String {
    match table.get(key.as_bytes()) {
        Some(Value::LongString(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{key} is {other:?}"),
    }
}

impl Drop for Fresh {
    /// A failed test shows what the server had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the server's log:\n{}", self.server.log_tail());
        }
    }
}

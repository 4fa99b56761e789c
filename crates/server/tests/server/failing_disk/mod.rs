//! A write or a sync fails on the real binary: nothing more is confirmed, it says why and ends, and a start without the
//! fault finds everything that was confirmed, once and in order.
//!
//! The binary is the one that users run. A small library that is loaded into it lets the kernel answer EIO to the system
//! calls of the journal (see `fault.c`): so it does not matter by which way the program makes them, and no root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use amqp_wire::{Method, basic, connection};
use testkit::amqp::{Incoming, Peer};
use testkit::http::{HttpPeer, Request};

use crate::support::{Fresh, consume, declare, publish};

/// What a process ends with that can keep no promise any more.
const EXIT_FAILED: i32 = 70;

/// Publishes that may wait for their confirms.
const WINDOW: u64 = 20;

/// The library and the file by which it is told to begin.
struct Fault {
    library: PathBuf,
    trigger: PathBuf,
}

impl Fault {
    fn compile(folder: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/failing_disk/fault.c");
        let library = folder.join("fault.so");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]).arg(&library).arg(source);
        let output = compile.output().expect("a C compiler, which the build needs too");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { library, trigger: folder.join("fault") }
    }

    fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![("LD_PRELOAD".to_owned(), text(&self.library)), ("FAULT_FILE".to_owned(), text(&self.trigger))]
    }

    fn marked(&self, ending: &str) -> bool {
        self.trigger.with_extension(ending).exists()
    }

    /// Lets these calls fail from now on. False where the kernel does not let it.
    fn begin(&self, what: &str) -> bool {
        fs::write(&self.trigger, what).unwrap();
        let started = Instant::now();
        while !self.marked("done") && started.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        self.marked("done")
    }
}

/// Publishes numbers, confirms going along, until the broker closes the connection: what was confirmed, and the close.
fn publish_until_closed(mut peer: Peer) -> (u64, connection::Close) {
    let (mut sent, mut confirmed) = (0, 0);
    loop {
        // The broker may be gone in the middle of a publish; its goodbye is there to be read nonetheless.
        while sent < confirmed + WINDOW {
            sent += 1;
            publish(&mut peer, "q", true, sent.to_string().as_bytes());
        }
        let Incoming { method, .. } = peer.receive().unwrap();
        match method {
            Method::Basic(basic::Method::Ack(ack)) => confirmed = ack.delivery_tag,
            Method::Basic(basic::Method::Nack(nack)) => panic!("no reason to refuse one: {nack:?}"),
            Method::Connection(connection::Method::Close(close)) => return (confirmed, close),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

fn check(what: &str, operation: &str) {
    let folder = tempfile::tempdir().unwrap();
    let fault = Fault::compile(folder.path());
    let mut fresh = Fresh::start_in(folder, &["--shutdown-timeout-ms", "2000"], fault.environment());
    assert!(fault.marked("ready"), "the library is in the process");

    let mut publisher = fresh.publisher();
    declare(&mut publisher, "q", true);
    let mut bystander = fresh.client();
    declare(&mut bystander, "tasks", true);
    let publishing = thread::spawn(move || publish_until_closed(publisher));
    thread::sleep(Duration::from_millis(300));
    if !fault.begin(what) {
        eprintln!("SKIPPED: this kernel lets no seccomp filter in, so system calls can't be made to fail");
        return;
    }

    let (confirmed, close) = publishing.join().unwrap();
    assert!(confirmed > WINDOW, "only {confirmed} publishes were confirmed before the fault");
    assert_eq!(close.reply_code, 541);
    assert!(close.reply_text.to_string().contains("can no longer store messages"), "{close:?}");
    // The bystander is told as well, and while it does not answer, the server is still there.
    let told: connection::Close = bystander.expect(0).unwrap();
    assert_eq!(told.reply_code, 541);
    let ask =
        |path: &str| HttpPeer::open(&fresh.server.http_address()).unwrap().call(&Request::get(path)).unwrap();
    let health = ask("/healthz");
    assert_eq!(health.status, 503);
    assert!(health.text().contains(operation), "{}", health.text());
    let refused = ask("/v1/queues/tasks");
    assert_eq!(refused.status, 503, "{}", refused.text());

    let started = Instant::now();
    let status = loop {
        if let Some(status) = fresh.server.ended().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it does not end");
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(EXIT_FAILED));
    let log = fresh.server.log_tail();
    for word in [
        operation,
        ".seg",
        "Input/output error",
        "nothing more is confirmed",
        "Mend the disk and start again",
    ] {
        assert!(log.contains(word), "'{word}' is not in its log:\n{log}");
    }

    fresh.server.options_mut().environment.clear();
    fresh.server.restart().unwrap();
    let mut consumer = fresh.client();
    let found = u64::from(declare(&mut consumer, "q", true));
    assert!(
        (confirmed..=confirmed + WINDOW).contains(&found),
        "{found} are there, {confirmed} were confirmed"
    );
    consume(&mut consumer, "q", true);
    for number in 1..=found {
        let (_, content) = consumer.expect_delivery(1).unwrap();
        assert_eq!(content.body, number.to_string().as_bytes(), "once, and in order");
    }
    println!("{what}: {confirmed} confirmed before the fault, {found} found behind it");
}

#[test]
fn a_failed_sync_ends_the_server_and_loses_nothing_confirmed() {
    check("sync", "sync of ");
}

#[test]
fn a_failed_write_ends_the_server_and_loses_nothing_confirmed() {
    check("write", "writing of ");
}

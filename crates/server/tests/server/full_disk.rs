//! A disk that is full, on the real binary and a real file system that is small.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use amqp_wire::{Method, basic, connection, queue};
use testkit::amqp::{Incoming, Peer};
use testkit::http::{HttpPeer, Request};

use crate::support::{Fresh, consume, declare, name, publish};

/// A server whose data directory is an ext4 file system of its own; unmounted when dropped.
struct SmallDisk {
    fresh: Option<Fresh>,
    data: PathBuf,
}

const DISK_BYTES: u64 = 48 << 20;
const BODY_BYTES: usize = 8000;
/// Publishes that may wait for their confirms.
const WINDOW: u64 = 50;
/// How long a thing may take that is expected to come by itself. Generous: the disks of test machines are shared.
const PATIENCE: Duration = Duration::from_secs(60);

impl SmallDisk {
    /// `None`, with a word, where mounting is not allowed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (image, data) = (folder.path().join("disk.img"), folder.path().join("data"));
        File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).unwrap();
        fs::create_dir(&data).unwrap();
        let run = |program: &str, arguments: &[&str], paths: &[&PathBuf]| {
            let output = Command::new(program).args(arguments).args(paths).output();
            output.is_ok_and(|output| output.status.success())
        };
        let is_there = run("mkfs.ext4", &["-q", "-F", "-m", "0"], &[&image])
            && run("mount", &["-o", "loop"], &[&image, &data]);
        if !is_there {
            eprintln!(
                "SKIPPED: no small file system can be mounted here (that takes root, mkfs.ext4 and a loop device); the \
                 rules themselves are tested on a disk in memory (crates/engine/tests/engine/full_disk.rs)"
            );
            return None;
        }
        let mut disk = Self { fresh: None, data };
        disk.fresh = Some(Fresh::start_in(folder, &["--storage-reserve-bytes", "4194304"], Vec::new()));
        Some(disk)
    }

    fn fresh(&mut self) -> &mut Fresh {
        self.fresh.as_mut().unwrap()
    }

    /// Fills what is left of the disk with a file of somebody else.
    fn fill_from_outside(&self) {
        let mut file = File::create(self.stranger()).unwrap();
        for piece in [1 << 20, 4096] {
            while file.write_all(&vec![0x55; piece]).and_then(|()| file.sync_data()).is_ok() {}
        }
    }

    fn stranger(&self) -> PathBuf {
        self.data.join("somebody-elses-file")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(fresh) = &mut self.fresh {
            // Whoever has a file open keeps the file system busy.
            let _ = fresh.server.kill();
        }
        let _ = Command::new("umount").arg(&self.data).status();
    }
}

/// A publisher of numbered messages that knows what became of each.
struct Publisher {
    peer: Peer,
    sent: u64,
    pending: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    rejected: BTreeSet<u64>,
    is_blocked: bool,
}

impl Publisher {
    fn new(fresh: &Fresh) -> Self {
        let (pending, confirmed, rejected) = Default::default();
        Self { peer: fresh.publisher(), sent: 0, pending, confirmed, rejected, is_blocked: false }
    }

    fn publish(&mut self) {
        self.sent += 1;
        let mut body = format!("{}.", self.sent).into_bytes();
        body.resize(BODY_BYTES, b'.');
        publish(&mut self.peer, "q", true, &body);
        self.pending.insert(self.sent);
    }

    fn hear(&mut self) {
        let Incoming { method, .. } = self.peer.receive().unwrap();
        let (tag, multiple, into) = match method {
            Method::Basic(basic::Method::Ack(ack)) => (ack.delivery_tag, ack.multiple, &mut self.confirmed),
            Method::Basic(basic::Method::Nack(nack)) => {
                (nack.delivery_tag, nack.multiple, &mut self.rejected)
            }
            Method::Connection(connection::Method::Blocked(_)) => return self.is_blocked = true,
            Method::Connection(connection::Method::Unblocked(_)) => return self.is_blocked = false,
            other => panic!("unexpected: {other:?}"),
        };
        let above = self.pending.split_off(&(tag + 1));
        let mut settled = std::mem::replace(&mut self.pending, above);
        if !multiple {
            settled.remove(&tag);
            self.pending.append(&mut settled);
            settled.insert(tag);
        }
        into.append(&mut settled);
    }

    fn settle(&mut self) {
        while !self.pending.is_empty() {
            self.hear();
        }
    }

    /// Publishes until a publish is refused.
    fn fill(&mut self) {
        let before = self.rejected.len();
        while self.rejected.len() == before {
            assert!(self.sent < 20_000, "a disk of {DISK_BYTES} bytes never fills");
            while self.pending.len() < WINDOW as usize {
                self.publish();
            }
            self.hear();
        }
        self.settle();
    }

    /// Publishes one message again and again until it is taken.
    fn publish_until_taken(&mut self) {
        let started = Instant::now();
        while {
            self.publish();
            self.settle();
            !self.confirmed.contains(&self.sent)
        } {
            assert!(started.elapsed() < PATIENCE, "publishes are still refused");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn number(body: &[u8]) -> u64 {
    let text = std::str::from_utf8(body).unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

/// The next delivery; what the connection is told of the disk in between is no matter.
fn next_delivery(peer: &mut Peer) -> (u64, Vec<u8>) {
    loop {
        let incoming = peer.receive().unwrap();
        if let Some((delivery, body)) = incoming.delivery() {
            return (delivery.delivery_tag, body.to_vec());
        }
        let is_of_disk = matches!(
            incoming.method,
            Method::Connection(connection::Method::Blocked(_) | connection::Method::Unblocked(_))
        );
        assert!(is_of_disk, "unexpected: {:?}", incoming.method);
    }
}

/// Takes and acknowledges this many messages one by one; their numbers.
fn drain(peer: &mut Peer, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let (delivery_tag, body) = next_delivery(peer);
        peer.send(1, basic::Ack { delivery_tag, multiple: false }).unwrap();
        numbers.push(number(&body));
    }
    numbers
}

fn health(fresh: &Fresh) -> String {
    let answer = fresh.http("GET", "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200"), "it is alive: {answer}");
    answer
}

#[test]
fn publishers_are_refused_and_everybody_else_goes_on_until_there_is_room() {
    let Some(mut disk) = SmallDisk::start() else { return };
    let fresh = disk.fresh();
    let mut publisher = Publisher::new(fresh);
    let mut other = fresh.client();
    declare(&mut other, "q", true);
    declare(&mut other, "plain", true);
    let mut http = HttpPeer::open(&fresh.server.http_address()).unwrap();
    let put = Request::put("/v1/queues/jobs").json("{}");
    assert_eq!(http.call(&put).unwrap().status, 201);
    let enqueue = Request::post("/v1/queues/jobs/tasks").json(r#"{"payload": {"n": 1}}"#);
    assert!(http.call(&enqueue).unwrap().status < 300);

    publisher.fill();
    assert!(publisher.confirmed.len() > 2000, "only {} messages on 48 MB", publisher.confirmed.len());
    publisher.publish();
    publisher.settle();
    assert!(publisher.is_blocked, "it was told why");
    assert!(health(fresh).contains(r#""storage":"full""#));
    assert_eq!(fresh.metric("rabbitmq_alarms_free_disk_space_watermark"), 1);
    assert!(fresh.metric("forebay_publishes_without_room_total") > 0);
    assert!(fresh.server.log_tail().contains("the disk is full but for the reserve"));

    // Everybody else.
    declare(&mut other, "new", true);
    let _: queue::DeleteOk =
        other.call(1, queue::Delete { queue: name("new"), ..Default::default() }).unwrap();
    let refused = http.call(&enqueue).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (507, Some("5")), "{}", refused.text());
    for word in ["/problems/storage-full", "\"reserve_bytes\":4194304", "Try again later"] {
        assert!(refused.text().contains(word), "{word}: {}", refused.text());
    }
    let lease = http.call(&Request::post("/v1/queues/jobs/leases").json(r#"{"worker": "w"}"#)).unwrap();
    assert_eq!(lease.status, 200, "{}", lease.text());
    // Nobody confirms this one, so it waits.
    publish(&mut other, "plain", true, b"patient");

    let confirmed: Vec<u64> = publisher.confirmed.iter().copied().collect();
    consume(&mut other, "q", false);
    assert_eq!(drain(&mut other, confirmed.len()), confirmed, "once, and in order");
    publisher.publish_until_taken();
    assert!(
        !publisher.is_blocked || {
            publisher.hear();
            !publisher.is_blocked
        }
    );
    assert_eq!(drain(&mut other, 1), [publisher.sent]);
    consume(&mut other, "plain", true);
    assert_eq!(next_delivery(&mut other).1, b"patient");
    assert!(http.call(&enqueue).unwrap().status < 300);
    assert!(!health(disk.fresh()).contains("full"));
    println!("{} confirmed before the disk was full", confirmed.len());
}

#[test]
fn a_disk_that_somebody_else_has_filled_is_found_free_again() {
    let Some(mut disk) = SmallDisk::start() else { return };
    let mut publisher = Publisher::new(disk.fresh());
    declare(&mut publisher.peer, "q", true);
    publisher.publish_until_taken();
    disk.fill_from_outside();
    publisher.fill();
    assert!(health(disk.fresh()).contains("full"));
    fs::remove_file(disk.stranger()).unwrap();
    publisher.publish_until_taken();
    let confirmed: Vec<u64> = publisher.confirmed.iter().copied().collect();
    let mut consumer = disk.fresh().client();
    consume(&mut consumer, "q", false);
    assert_eq!(drain(&mut consumer, confirmed.len()), confirmed);
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing_and_the_start_needs_no_room() {
    let Some(mut disk) = SmallDisk::start() else { return };
    let mut publisher = Publisher::new(disk.fresh());
    declare(&mut publisher.peer, "q", true);
    publisher.fill();
    // Not a block is left.
    disk.fill_from_outside();
    for _ in 0..2 {
        disk.fresh().server.kill().unwrap();
        disk.fresh().server.restart().unwrap();
    }
    let mut after = Publisher::new(disk.fresh());
    after.fill();
    assert!(after.confirmed.len() < 500, "it was full, and is");
    let mut consumer = disk.fresh().client();
    consume(&mut consumer, "q", false);
    let confirmed: Vec<u64> = publisher.confirmed.iter().copied().collect();
    assert_eq!(drain(&mut consumer, confirmed.len()), confirmed, "once, and in order");
    let confirmed: Vec<u64> = after.confirmed.iter().copied().collect();
    assert_eq!(drain(&mut consumer, confirmed.len()), confirmed);
    // The stranger's file is still there: what the consumer has let go of is room enough.
    after.publish_until_taken();
    assert!(disk.fresh().server.terminate().unwrap().success(), "it can also end in peace");
}

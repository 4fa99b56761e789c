//! The doctor on real directories.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use amqp_wire::basic;
use testkit::amqp::Peer;

use crate::support::{Fresh, consume, declare, expect_confirm, forebay, publish};

const MESSAGES: u64 = 20;

fn doctor(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        forebay(&["doctor", data.to_str().unwrap()]).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code(), text)
}

fn check_parts(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in\n{text}"));
}

/// Publishes with a confirm each, so that each has an entry of its own.
fn publish_orders(publisher: &mut Peer) {
    declare(publisher, "orders", true);
    for number in 1..=MESSAGES {
        publish(publisher, "orders", true, format!("order {number}.").as_bytes());
        expect_confirm(publisher, number);
    }
}

/// The segment that has these bytes, and where.
fn find(data: &Path, bytes: &[u8]) -> (PathBuf, u64) {
    let mut files: Vec<PathBuf> =
        fs::read_dir(data.join("journal/%2F")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let found = files.into_iter().find_map(|file| {
        let content = fs::read(&file).unwrap();
        let at = content.windows(bytes.len()).position(|window| window == bytes)?;
        Some((file, at as u64))
    });
    found.expect("it was published")
}

fn damage(file: &Path, offset: u64) {
    OpenOptions::new().write(true).open(file).unwrap().write_all_at(b"#", offset).unwrap();
}

#[test]
fn a_damaged_directory_is_shown_repaired_and_serves_all_but_the_lost_message_again() {
    let mut fresh = Fresh::start();
    publish_orders(&mut fresh.publisher());
    let data = fresh.server.data_dir().to_owned();
    fresh.server.kill().unwrap();
    let (code, text) = doctor(&data, &[]);
    assert_eq!(code, Some(0), "{text}");
    check_parts(
        &text,
        &[
            "Virtual host '/' (journal/%2F)",
            "orders: 20 ready, 171 bytes",
            "0000000000000001.seg",
            "Nothing is damaged.",
        ],
    );

    let (file, at) = find(&data, b"order 7.");
    damage(&file, at);
    let serve = forebay(&[
        "serve",
        "--data",
        data.to_str().unwrap(),
        "--amqp",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ])
    .output()
    .unwrap();
    let refusal = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(69), "{refusal}");
    check_parts(&refusal, &["the journal is damaged at entry", "forebay doctor DIR"]);

    let place = format!("journal/%2F/0000000000000001.seg at byte {}", at / 4096 * 4096);
    let before = fs::read(&file).unwrap();
    let (code, text) = doctor(&data, &[]);
    assert_eq!(code, Some(65), "{text}");
    let lost = [
        place.as_str(),
        "the checksum of the payload is wrong",
        "a start would be refused",
        "it still shows, though nothing vouches for it: 1 message published to 'orders'",
        "queue 'orders': at most 1 message that came in lost entries",
        "orders: 19 ready",
    ];
    check_parts(&text, &lost);
    let output = forebay(&["doctor", data.to_str().unwrap(), "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let host = &document["virtual_hosts"][0];
    assert_eq!((&host["name"], &host["queues"][0]["ready"]), (&"/".into(), &19.into()));
    assert_eq!(
        (&host["damages"][0]["meaning"], &host["damages"][0]["offset"]),
        (&"start_refused".into(), &(at / 4096 * 4096).into())
    );
    assert!(fs::read(&file).unwrap() == before, "a look changes nothing");
    assert!(!data.join("damaged").exists());

    let (code, text) = doctor(&data, &["--repair"]);
    assert_eq!(code, Some(0), "{text}");
    check_parts(&text, &lost);
    check_parts(&text, &["damaged/1/journal/%2F/0000000000000001.seg", "Repaired"]);
    assert!(fs::read(data.join("damaged/1/journal/%2F/0000000000000001.seg")).unwrap() == before);
    let report = fs::read_to_string(data.join("damaged/1/report.txt")).unwrap();
    check_parts(&report, &lost);
    let (code, text) = doctor(&data, &["--repair"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!data.join("damaged/2").exists(), "nothing was left to repair");

    fresh.server.restart().unwrap();
    let mut consumer = fresh.client();
    assert_eq!(declare(&mut consumer, "orders", true), 19);
    consume(&mut consumer, "orders", false);
    for number in (1..=MESSAGES).filter(|number| *number != 7) {
        let (delivery, content) = consumer.expect_delivery(1).unwrap();
        assert_eq!(content.body, format!("order {number}.").as_bytes());
        consumer.send(1, basic::Ack { delivery_tag: delivery.delivery_tag, multiple: false }).unwrap();
    }
    // Answered behind all acks.
    assert_eq!(declare(&mut consumer, "orders", true), 0);
    drop(consumer);
    // What was repaired ends and starts in peace.
    assert!(fresh.server.terminate().unwrap().success());
    let (code, text) = doctor(&data, &[]);
    assert_eq!(code, Some(0), "{text}");
    check_parts(
        &text,
        &["orders: 0 ready", "at a clean end; a start begins here", "scars", "nobody needs what lay here"],
    );
    fresh.server.restart().unwrap();
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let fresh = Fresh::start();
    let (code, text) = doctor(fresh.server.data_dir(), &["--repair"]);
    assert_eq!(code, Some(69), "{text}");
    check_parts(&text, &["is in use by a server", &format!("(process {})", fresh.server.process_id())]);
}

#[test]
fn what_is_no_data_directory_is_not_made_one() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let (code, text) = doctor(&path, &["--repair"]);
        assert_eq!(code, Some(69), "{text}");
        check_parts(&text, &["is no data directory of Forebay"]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

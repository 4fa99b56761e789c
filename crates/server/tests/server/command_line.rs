//! The other commands.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::support::{Fresh, forebay};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = forebay(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn what_was_published_is_consumed() {
    let fresh = Fresh::start();
    let url = fresh.url();
    let none = run(&["consume", "--url", &url, "--declare", "--count", "0", "q"], "");
    assert!(none.status.success(), "{}", text(&none.stderr));

    let output = run(&["publish", "--url", &url, "--key", "q", "--count", "3", "hello"], "");
    assert_eq!(text(&output.stdout), "3 confirmed\n", "{}", text(&output.stderr));
    let output = run(&["publish", "--url", &url, "--key", "q"], "from standard input");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let file = fresh.folder.path().join("body");
    std::fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let output = run(&["publish", "--url", &url, "--key", "q", "--file", file.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", text(&output.stderr));

    // A counted consumer takes no more than it prints.
    let output = run(&["consume", "--url", &url, "--count", "2", "--no-ack", "q"], "");
    assert_eq!(text(&output.stdout), "hello\nhello\n", "{}", text(&output.stderr));
    let output = run(&["consume", "--url", &url, "--count", "3", "q"], "");
    assert_eq!(text(&output.stdout), format!("hello\nfrom standard input\n{}\n", "x".repeat(300_000)));
}

#[test]
fn a_message_without_a_queue_is_reported() {
    let fresh = Fresh::start();
    let output = run(&["publish", "--url", &fresh.url(), "--key", "nowhere", "hello"], "");
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("1 met no queue"), "{}", text(&output.stderr));
}

#[test]
fn refusals_show_the_brokers_words() {
    let fresh = Fresh::start();
    let output = run(&["consume", "--url", &fresh.url(), "missing"], "");
    assert_eq!(output.status.code(), Some(69));
    let error = text(&output.stderr);
    assert!(error.contains("404 NOT_FOUND - no queue 'missing' in vhost '/'"), "{error}");

    let output = run(&["consume", "--url", "amqp://127.0.0.1:1", "q"], "");
    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).contains("is a broker running there?"), "{}", text(&output.stderr));
}

#[test]
fn a_hashed_password_lets_its_user_in() {
    let output = run(&["hash-password"], "correct horse\n");
    let hash = text(&output.stdout);
    let fresh = Fresh::start_with(&["--user", &format!("alice:{}", hash.trim()), "--user", "guest:"]);
    let address = fresh.server.endpoint().address;
    let alice = format!("amqp://alice:correct%20horse@{address}");
    let output = run(&["consume", "--url", &alice, "--declare", "--count", "0", "q"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let guest = format!("amqp://{address}");
    let output = run(&["consume", "--url", &guest, "--count", "0", "q"], "");
    assert!(text(&output.stderr).contains("403 ACCESS_REFUSED"), "{}", text(&output.stderr));
}

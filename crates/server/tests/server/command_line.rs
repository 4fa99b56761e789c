//! The other commands.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::support::{Fresh, consume, declare, expect_confirm, forebay, publish};

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

#[test]
fn what_holds_space_is_shown_with_whoever_has_it() {
    let fresh = Fresh::start();
    let http = format!("http://{}", fresh.server.http_address());
    let early = run(&["pins", "--http", &http], "");
    assert_eq!(early.status.code(), Some(69));
    assert!(text(&early.stderr).contains("there is no checkpoint yet"), "{}", text(&early.stderr));

    let mut slow = fresh.client();
    declare(&mut slow, "slow", true);
    let mut publisher = fresh.publisher();
    publish(&mut publisher, "slow", true, b"never acknowledged");
    consume(&mut slow, "slow", false);
    declare(&mut publisher, "fast", true);
    let mut fast = fresh.client();
    consume(&mut fast, "fast", true);
    // Segments of 1, 2, 4 and 8 MiB.
    let body = vec![b'.'; 1 << 20];
    for number in 2..=20 {
        publish(&mut publisher, "fast", true, &body);
        expect_confirm(&mut publisher, number);
    }
    let started = std::time::Instant::now();
    let shown = loop {
        let output = run(&["pins", "--http", &http], "");
        let shown = text(&output.stdout);
        if shown.contains("queue 'slow'") {
            break shown;
        }
        assert!(started.elapsed().as_secs() < 20, "{shown}{}", text(&output.stderr));
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(shown.contains("0000000000000001.seg  1.0 MiB: "), "{shown}");
    assert!(shown.contains("of user 'guest'") && shown.contains("not acknowledged since 20"), "{shown}");
    let json = run(&["pins", "--json", "--http", &http], "");
    assert!(text(&json.stdout).contains(r#""state":"delivered""#), "{}", text(&json.stdout));
}

//! `forebay call`, `forebay result` and `forebay work`: any program asks, any program answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Fresh, forebay};

/// A command that is ended when the test is.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end, and for what it has written.
    fn output(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.0.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status: self.0.wait().unwrap(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fresh {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = forebay(arguments);
        command.env("FOREBAY_HTTP", format!("http://{}", self.server.http_address()));
        command
    }

    /// Runs a command to its end.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a command.
    fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Starts a worker on the queue `q`.
    fn work(&self, program: &str, more: &[&str]) -> Running {
        self.spawn(&[&["work", "q", "--exec", program], more].concat())
    }

    /// Makes the queue `q`.
    fn make_queue(&self) {
        assert!(self.api("PUT", "/v1/queues/q", "{}").starts_with("HTTP/1.1 201 "));
    }

    /// Waits until a worker has made it.
    fn wait_for_queue(&self) {
        self.wait_for("/v1/queues/q", r#""name":"q""#);
    }

    /// Puts a task into `q` and returns its id.
    fn enqueue(&self, body: &str) -> String {
        let output = self.run(&["call", "q", "--wait", "0s", "--body", body]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// The answer to a request of the built-in user.
    fn api(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.server.http_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until the description of something contains a text.
    fn wait_for(&self, path: &str, part: &str) {
        let started = Instant::now();
        loop {
            let answer = self.api("GET", path, "");
            if answer.contains(part) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no {part} in {answer}");
            sleep(Duration::from_millis(10));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check(output: &Output, exit_code: i32, stdout: &str) {
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(exit_code), stdout),
        "{}",
        text(&output.stderr)
    );
}

fn wait_for_file(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "no {}", path.display());
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_shell_command_answers_callers_of_all_kinds() {
    let fresh = Fresh::start();
    let _worker = fresh.work("tr a-z A-Z", &["--concurrency", "2"]);
    fresh.wait_for("/v1/queues/q", r#""consumers":2"#);
    check(&fresh.run(&["call", "q", "--body", "hello"]), 0, "HELLO");

    let file = fresh.folder.path().join("body");
    std::fs::write(&file, "x".repeat(300_000)).unwrap();
    check(&fresh.run(&["call", "q", file.to_str().unwrap()]), 0, &"X".repeat(300_000));

    let answer = fresh.api("POST", "/v1/queues/q/call", r#""json""#);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n\"JSON\""), "{answer}");
}

#[test]
fn the_program_gets_and_returns_any_bytes_and_knows_its_task() {
    let fresh = Fresh::start();
    let _worker = fresh.work("cat; echo \" $FOREBAY_TASK_NAME $FOREBAY_CONTENT_TYPE $FOREBAY_ATTEMPT\"", &[]);
    fresh.wait_for_queue();
    let file = fresh.folder.path().join("body");
    std::fs::write(&file, b"\x89PNG").unwrap();
    let call = ["call", "q", file.to_str().unwrap(), "--name", "page.show"];
    assert_eq!(fresh.run(&call).stdout, b"\x89PNG page.show application/octet-stream 1\n");
}

#[test]
fn a_call_that_is_late_names_its_task_and_its_result_can_be_fetched() {
    let fresh = Fresh::start();
    fresh.make_queue();
    let task = fresh.enqueue("hello");
    check(&fresh.run(&["result", &task]), 3, "");
    let waiting = fresh.spawn(&["result", &task, "--wait", "30s"]);
    let _worker = fresh.work("cat", &[]);
    check(&waiting.output(), 0, "hello");
    // As often as wanted.
    check(&fresh.run(&["result", &task]), 0, "hello");
}

#[test]
fn a_repeated_call_with_the_same_key_is_the_same_task() {
    let fresh = Fresh::start();
    fresh.make_queue();
    let call = |body, wait| fresh.run(&["call", "q", "--key", "order-7", "--body", body, "--wait", wait]);
    let first = text(&call("hello", "0s").stdout);
    check(&call("hello", "0s"), 3, &first);
    let _worker = fresh.work("cat; echo $FOREBAY_TASK_ID", &[]);
    check(&call("hello", "30s"), 0, &format!("hello{first}"));
    check(&call("hello", "0s"), 0, &format!("hello{first}"));
    let other = call("other", "0s");
    check(&other, 65, "");
    assert!(text(&other.stderr).contains("order-7"), "{}", text(&other.stderr));
}

#[test]
fn refusals_and_absent_brokers_are_told() {
    let fresh = Fresh::start();
    let missing = fresh.run(&["call", "q", "--body", "x"]);
    check(&missing, 65, "");
    assert!(text(&missing.stderr).contains("forebay work q --exec CMD"), "{}", text(&missing.stderr));
    check(&fresh.run(&["result", "01934c3a-7e2b-7c1d-9f00-5a2b3c4d5e6f"]), 65, "");
    check(&fresh.run(&["call", "q", "--body", "x", "--user", "guest:wrong"]), 65, "");
    let absent = fresh.run(&["call", "q", "--body", "x", "--http", "http://127.0.0.1:1"]);
    check(&absent, 69, "");
    assert!(text(&absent.stderr).contains("is a broker running there?"), "{}", text(&absent.stderr));
}

#[test]
fn exit_codes_decide_whether_there_is_another_attempt() {
    let fresh = Fresh::start();
    let program =
        "echo attempt $FOREBAY_ATTEMPT of $(cat) >&2; test $FOREBAY_ATTEMPT -gt 1 || exit 75; exit 100";
    let worker = fresh.work(program, &[]);
    fresh.wait_for_queue();
    let output = fresh.run(&["call", "q", "--body", "hello"]);
    check(&output, 1, "");
    assert!(text(&output.stderr).contains("exit code 100: attempt 2 of hello"), "{}", text(&output.stderr));
    worker.signal(Signal::TERM);
    let said = text(&worker.output().stderr);
    assert!(said.contains("attempt 1 failed; there will be another attempt"), "{said}");
    assert!(said.contains("attempt 2 failed; it is given up"), "{said}");
}

#[test]
fn a_caller_outlives_the_broker() {
    let mut fresh = Fresh::start();
    fresh.make_queue();
    let call = fresh.spawn(&["call", "q", "--body", "hello"]);
    fresh.wait_for("/v1/queues/q", r#""ready":1"#);
    fresh.server.kill().unwrap();
    sleep(Duration::from_millis(200));
    fresh.server.restart().unwrap();
    let _worker = fresh.work("cat", &[]);
    let output = call.output();
    check(&output, 0, "hello");
    assert!(text(&output.stderr).contains("asking again"), "{}", text(&output.stderr));
    // The repeated request made no second task.
    fresh.wait_for("/v1/queues/q", r#""ready":0,"running":0"#);
}

#[test]
fn a_worker_outlives_the_broker_and_keeps_its_task() {
    let mut fresh = Fresh::start();
    let runs = fresh.folder.path().join("runs");
    let program = format!("echo run >> {}; sleep 1; cat", runs.display());
    let worker = fresh.work(&program, &["--lease", "3s"]);
    fresh.wait_for_queue();
    let call = fresh.spawn(&["call", "q", "--body", "hello"]);
    wait_for_file(&runs);
    fresh.server.kill().unwrap();
    // The program ends meanwhile, and its result waits for the broker.
    sleep(Duration::from_millis(1300));
    fresh.server.restart().unwrap();
    check(&call.output(), 0, "hello");
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
    worker.signal(Signal::TERM);
    let output = worker.output();
    assert!(output.status.success() && text(&output.stderr).contains("the broker is back"), "{output:?}");
}

#[test]
fn the_task_of_a_worker_that_was_killed_goes_to_another() {
    let fresh = Fresh::start();
    let started = fresh.folder.path().join("started");
    let program = format!("touch {}; exec sleep 30", started.display());
    let worker = fresh.work(&program, &["--lease", "1s"]);
    fresh.wait_for_queue();
    let task = fresh.enqueue("hello");
    wait_for_file(&started);
    worker.signal(Signal::KILL);
    let _other = fresh.work("cat; echo \" $FOREBAY_ATTEMPT\"", &[]);
    check(&fresh.run(&["result", &task, "--wait", "20s"]), 0, "hello 2\n");
}

#[test]
fn a_cancelled_task_ends_its_program() {
    let fresh = Fresh::start();
    let [started, asked] = ["started", "asked"].map(|name| fresh.folder.path().join(name));
    let program =
        format!("trap 'touch {}; exit' TERM; touch {}; sleep 60 & wait", asked.display(), started.display());
    let _worker = fresh.work(&program, &["--lease", "1s"]);
    fresh.wait_for_queue();
    let task = fresh.enqueue("hello");
    wait_for_file(&started);
    let answer = fresh.api("POST", &format!("/v1/tasks/{task}/cancel"), "");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    wait_for_file(&asked);
    let output = fresh.run(&["result", &task]);
    check(&output, 1, "");
    assert!(text(&output.stderr).contains("cancelled"), "{}", text(&output.stderr));
}

#[test]
fn a_worker_that_is_stopped_finishes_or_gives_back() {
    let fresh = Fresh::start();
    let started = fresh.folder.path().join("started");
    let slow = |seconds| format!("touch {}; sleep {seconds}; cat", started.display());
    // Long enough: it finishes.
    let worker = fresh.work(&slow(1), &[]);
    fresh.wait_for_queue();
    let task = fresh.enqueue("first");
    wait_for_file(&started);
    worker.signal(Signal::TERM);
    assert!(worker.output().status.success());
    check(&fresh.run(&["result", &task]), 0, "first");

    // Too short: it gives back, which is no attempt.
    std::fs::remove_file(&started).unwrap();
    let task = fresh.enqueue("second");
    let worker = fresh.work(&slow(60), &["--grace", "0s"]);
    wait_for_file(&started);
    worker.signal(Signal::TERM);
    let output = worker.output();
    assert!(output.status.success() && text(&output.stderr).contains("given back"), "{output:?}");
    fresh.wait_for(&format!("/v1/tasks/{task}"), r#""releases":1"#);
    let _other = fresh.work("cat; echo \" $FOREBAY_ATTEMPT\"", &[]);
    check(&fresh.run(&["result", &task, "--wait", "20s"]), 0, "second 1\n");
}

//! Data directories of every format that there was, which stay readable for ever.
//!
//! `fixtures/NAME` is a data directory as a killed server leaves it. It is made once, by [`write_the_fixture`], and never changed;
//! what has to be found in it stands here in plain words.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broker::{
    Answer, Binding, Complete, DeclareExchange, DeclareQueue, Effect, Enqueue, Envelope, Fail,
    IdempotencyKey, Lease, Operation, Publish, Standalone, TaskId, TaskState, Timestamp, Until,
};
use engine::Settings;
use engine::doctor::{DataFiles, examine};
use field_table::{ShortString, Table, Value};
use journal::storage::DirectoryStorage;
use journal::{FileOptions, LogName};
use message_properties::Properties;

use crate::bench::{ack, get, name};
use crate::served::Served;

/// When the first boot of the fixture begins.
const BEGAN_AT: Timestamp = Timestamp(1_790_000_000_000);
/// When it is read: an hour later, so that the delayed task is due soon, and results are still kept.
const READ_AT: Timestamp = Timestamp(1_790_003_600_000);

const SUCCEEDED: &str = "00000000-0000-4000-8000-00000000000a";
const FAILED: &str = "00000000-0000-4000-8000-00000000000b";
const CANCELLED: &str = "00000000-0000-4000-8000-00000000000c";
const SCHEDULED: &str = "00000000-0000-4000-8000-00000000000e";
const RUNNING: &str = "00000000-0000-4000-8000-00000000000f";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn log() -> LogName {
    LogName::escaped("/").unwrap()
}

fn serve(directory: &Path, options: FileOptions, now: Timestamp) -> Served {
    let journal = Arc::new(DirectoryStorage::new(directory.join("journal")));
    // So that a short life has all kinds of files.
    let settings = Settings { compaction_slack_bytes: 0, ..Settings::default() };
    Served::open_with(settings, journal, Arc::new(DirectoryStorage::new(directory)), &log(), options, now)
        .unwrap()
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

/// A message to the exchange `orders`, with its text as message id.
fn order(key: &str, text: &str) -> Operation {
    let properties = Properties {
        content_type: Some(name("text/plain")),
        delivery_mode: Some(2),
        message_id: Some(name(text)),
        ..Properties::default()
    };
    let envelope = Envelope::new(b"orders", key.as_bytes(), &properties.to_bytes(), text.as_bytes());
    Operation::Publish(Publish { envelope, mandatory: false, persistent: true, headers: None })
}

/// A task that has chosen its id.
fn task(id: &str, text: &str, delay_ms: i64) -> Operation {
    let mut headers = Table::default();
    headers.insert(name("x-delay"), Value::I64(delay_ms));
    let properties = Properties {
        delivery_mode: Some(2),
        message_id: Some(name(id)),
        kind: Some(name("resize")),
        headers: Some(headers),
        ..Properties::default()
    };
    let envelope = Envelope::new(b"", b"jobs", &properties.to_bytes(), text.as_bytes());
    Operation::Publish(Publish { envelope, mandatory: true, persistent: true, headers: None })
}

/// A task that is known by its key.
fn keyed_task(text: &str) -> Standalone {
    let properties =
        Properties { delivery_mode: Some(2), kind: Some(name("resize")), ..Properties::default() };
    let envelope = Envelope::new(b"", b"jobs", &properties.to_bytes(), text.as_bytes());
    Standalone::Enqueue(Enqueue {
        queue: name("jobs"),
        tasks: vec![envelope],
        expects_reply: false,
        key: Some(IdempotencyKey { user: name("guest"), key: name("once"), fingerprint: [7; 32] }),
        watch: false,
    })
}

fn lease(worker: &str) -> Standalone {
    let worker = name(worker);
    Standalone::Lease(Lease { queue: name("jobs"), max: 1, lease_ms: 60_000, worker, wait: false })
}

fn texts(messages: &[Envelope]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.body().to_vec()).unwrap()).collect()
}

/// All of them, the newest last.
const FIXTURES: [&str; 4] = ["0.1", "0.1-runs-2", "0.1-compacted", "0.1-runs-3"];

#[test]
fn a_directory_of_any_format_is_read() {
    FIXTURES.iter().for_each(|fixture| check(&folder().join(fixture)));
}

fn check(fixture: &Path) {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(fixture, copy.path());
    let has_compacted = ["0.1-compacted", "0.1-runs-3"].iter().any(|name| fixture.ends_with(name));
    check_examination(copy.path(), has_compacted);
    let mut served = serve(copy.path(), FileOptions::new(1), READ_AT);
    check_start(&served);
    check_tasks(&mut served);
    check_messages(&mut served);
    served.close();
    // This version goes on with it.
    let mut served = serve(copy.path(), FileOptions::new(2), Timestamp(READ_AT.0 + 10_000));
    assert!(served.engine.recovery().clean);
    assert_eq!(texts(&served.take_all("invoices")), ["paid 1", "paid 3", "paid 4", "paid 5", "paid 6"]);
}

fn check_examination(directory: &Path, has_compacted: bool) {
    let files = DataFiles {
        data: Arc::new(DirectoryStorage::new(directory)),
        journal: Arc::new(DirectoryStorage::new(directory.join("journal"))),
        journal_folder: "journal".to_owned(),
    };
    assert_eq!(files.logs().unwrap(), [log()]);
    let examination = examine(&files, &log()).unwrap();
    assert!(examination.is_sound(), "{:?}", examination.damages);
    assert!(examination.scars.is_empty());
    let is_compacted = examination.survey.iter().any(|survey| !survey.compacted.is_empty());
    assert_eq!(is_compacted, has_compacted);
    let census = &examination.census;
    assert_eq!((census.exchanges, census.bindings), (2, 3));
    let queues: Vec<(&[u8], u64, u64)> =
        census.queues.iter().map(|queue| (&queue.name[..], queue.ready, queue.kept_back)).collect();
    let expected: [(&[u8], u64, u64); 4] =
        [(b"audit", 5, 0), (b"invoices", 4, 0), (b"jobs", 1, 3), (b"scratch", 0, 0)];
    assert_eq!(queues, expected);
}

fn check_start(served: &Served) {
    let recovery = served.engine.recovery();
    assert_eq!((recovery.boot, recovery.clean, recovery.queues), (3, false, 4));
    assert!(recovery.checkpoint_lsn > 0 && recovery.entries_replayed > 0, "{recovery:?}");
}

fn check_tasks(served: &mut Served) {
    let states = [
        (SUCCEEDED, TaskState::Succeeded, 0, Some("resized 1")),
        (FAILED, TaskState::Failed, 1, Some("no such picture")),
        (CANCELLED, TaskState::Cancelled, 0, None),
        (SCHEDULED, TaskState::Scheduled, 0, None),
        (RUNNING, TaskState::Running, 0, None),
    ];
    for (task, state, attempts, result) in states {
        let watch = Standalone::Watch { task: id(task), until: Until::Now, with_result: true };
        let Effect::Task { view, result: found, .. } = served.request(watch) else {
            panic!("{task} is known")
        };
        assert_eq!(
            (view.state, view.attempts, &view.queue[..], &view.name[..]),
            (state, attempts, &b"jobs"[..], &b"resize"[..])
        );
        assert_eq!(
            found.map(|found| found.body().to_vec()),
            result.map(|text| text.as_bytes().to_vec()),
            "{task}"
        );
    }
    // The key of a request is known for a day: nothing is added.
    let again = served.request(keyed_task("resize 4"));
    let Effect::Answered { answer: Answer::Enqueued { tasks, replayed }, .. } = again else {
        panic!("{again:?}")
    };
    assert_eq!(
        (tasks[0].state, tasks[0].created_at.0 / 60_000, replayed),
        (TaskState::Ready, 29_833_334, true)
    );
}

fn check_messages(served: &mut Served) {
    served.ask(order("order.paid", "paid 6"));
    let invoices = served.take_all("invoices");
    assert_eq!(texts(&invoices), ["paid 1", "paid 3", "paid 4", "paid 5", "paid 6"]);
    let properties = Properties::decode(invoices[1].properties()).unwrap();
    assert_eq!(
        (properties.message_id, properties.content_type),
        (Some(name("paid 3")), Some(name("text/plain")))
    );
    assert_eq!((invoices[1].exchange(), invoices[1].routing_key()), (&b"orders"[..], &b"order.paid"[..]));
    let audit = texts(&served.take_all("audit"));
    assert_eq!(audit, ["paid 2", "paid 3", "paid 4", "cancelled 1", "paid 5", "paid 6"]);
    assert!(served.take_all("scratch").is_empty());
}

/// Makes the newest of [`FIXTURES`]. Once for each version that is released, and when a format changes:
///
/// ```text
/// cargo test -p engine --test engine -- --ignored write_the_fixture
/// ```
#[test]
#[ignore = "makes files of the repository, once for each format"]
fn write_the_fixture() {
    let directory = folder().join(FIXTURES[FIXTURES.len() - 1]);
    assert!(!directory.exists(), "{} is there, and a fixture never changes", directory.display());
    fs::create_dir_all(directory.join("journal")).unwrap();
    let options = FileOptions {
        segment_bytes_first: 32 << 10,
        segment_bytes_max: 32 << 10,
        ..FileOptions::new(0x5eed)
    };
    let mut served = serve(&directory, options, BEGAN_AT);
    first_boot(&mut served);
    served.close();
    let mut served = serve(&directory, options, Timestamp(BEGAN_AT.0 + 60_000));
    second_boot(&mut served);
    // Killed.
    drop(served);
    for entry in fs::read_dir(directory.join("journal/%2F")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "spare") {
            fs::remove_file(path).unwrap();
        }
    }
}

fn first_boot(served: &mut Served) {
    for (exchange, kind) in [("orders", "topic"), ("everything", "fanout")] {
        served.ask(Operation::DeclareExchange(DeclareExchange {
            name: name(exchange),
            kind: name(kind),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Table::default(),
        }));
    }
    for queue in ["invoices", "audit", "scratch", "gone"] {
        served.ask(declare(queue, Table::default()));
    }
    let mut arguments = Table::default();
    arguments.insert(name("x-task-queue"), Value::Bool(true));
    served.ask(declare("jobs", arguments));
    served.ask(Operation::BindExchange(binding("orders", "everything", "#")));
    served.ask(Operation::BindQueue(binding("orders", "invoices", "order.paid")));
    served.ask(Operation::BindQueue(binding("everything", "audit", "")));
    (1..=4).for_each(|number| drop(served.ask(order("order.paid", &format!("paid {number}")))));
    served.ask(order("order.cancelled", "cancelled 1"));
    served.ask(get("audit"));
    served.tell(ack(1, false));
    for queue in ["scratch", "gone"] {
        served.ask(crate::bench::publish(queue, "short-lived"));
    }
    served.ask(Operation::PurgeQueue { name: name("scratch") });
    served.ask(Operation::DeleteQueue { name: name("gone"), if_unused: false, if_empty: false });

    served.ask(task(SUCCEEDED, "resize 1", 0));
    let held = take_lease(served, "worker 1");
    let result = Some(Envelope::new(b"", b"", &[0, 0], b"resized 1"));
    served.request(Standalone::Complete(Complete { lease: held, status: None, result, publish: Vec::new() }));
    served.ask(task(FAILED, "resize 2", 0));
    let held = take_lease(served, "worker 1");
    let error = Envelope::new(b"", b"", &[0, 0], b"no such picture");
    served.request(Standalone::Fail(Fail {
        lease: held,
        status: Some(422),
        error,
        retry: false,
        delay_ms: None,
    }));
    served.ask(task(CANCELLED, "resize 3", 0));
    served.request(Standalone::Cancel { task: id(CANCELLED) });
}

fn second_boot(served: &mut Served) {
    // A checkpoint that is not the last word of a boot.
    let mut tag = 0;
    while served.engine.counts().checkpoints < 2 || served.engine.counts().compactions == 0 {
        served.ask(crate::bench::publish("scratch", "comes and goes"));
        served.ask(get("scratch"));
        tag += 1;
        served.tell(ack(tag, false));
    }
    // And what lies behind it.
    served.ask(task(RUNNING, "resize 6", 0));
    take_lease(served, "worker 2");
    served.request(keyed_task("resize 4"));
    served.ask(task(SCHEDULED, "resize 5", 2 * 3_600_000));
    served.ask(get("invoices"));
    served.ask(get("invoices"));
    served.tell(ack(tag + 2, false));
    served.ask(order("order.paid", "paid 5"));
}

fn take_lease(served: &mut Served, worker: &str) -> broker::LeaseId {
    let Effect::Leased { grant, .. } = served.request(lease(worker)) else { panic!("a task is ready") };
    grant.lease
}

fn declare(queue: &str, arguments: Table) -> Operation {
    Operation::DeclareQueue(DeclareQueue {
        name: name(queue),
        generated: false,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    })
}

fn binding(source: &str, destination: &str, key: &str) -> Binding {
    Binding {
        source: name(source),
        destination: name(destination),
        routing_key: ShortString::try_from(key.as_bytes()).unwrap(),
        arguments: Table::default(),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

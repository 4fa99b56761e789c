//! The connection that breaks, the worker that ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use amqp_wire::{ShortString, basic, channel};
use forebay_worker::{Cx, Fail, Worker, WorkerError};
use tokio::sync::Notify;

use crate::scripted_broker::ScriptedBroker;
use crate::support::{Add, QUEUE, RESULTS, Running, accept_worker, add, deliver};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_lost_lease_cancels_the_handler_and_drops_its_result() {
    let broker = ScriptedBroker::listen();
    let cancelled = Arc::new(AtomicBool::new(false));
    let seen = cancelled.clone();
    let handler = move |job: Add, cx: Cx| {
        let seen = seen.clone();
        async move {
            if job.a == 0 {
                cx.cancelled().await;
                seen.store(true, Ordering::SeqCst);
            }
            Ok::<i64, Fail>(job.a)
        }
    };
    let worker = Worker::connect(&broker.url()).unwrap().handle(handler);
    let running = Running::start(worker, GRACE);
    let script = tokio::task::spawn_blocking(move || {
        let mut first = accept_worker(&broker);
        deliver(&mut first, 1, "add", r#"{"a":0,"b":0}"#);
        first.hear_nothing_for(Duration::from_millis(50));
        first.cut();
        let mut second = accept_worker(&broker);
        // The old result would come now.
        second.hear_nothing_for(Duration::from_millis(100));
        deliver(&mut second, 1, "add", r#"{"a":1,"b":0}"#);
        assert_eq!(second.expect_said::<basic::Publish>(RESULTS).text(), "1");
        second.ack(RESULTS, 1, false);
        let _: basic::Ack = second.expect(QUEUE);
        second
    });
    let mut second = script.await.unwrap();
    assert!(cancelled.load(Ordering::SeqCst));
    let goodbye = tokio::task::spawn_blocking(move || {
        let _: basic::Cancel = second.expect(QUEUE);
        second.expect_goodbye();
    });
    running.end().await.unwrap();
    goodbye.await.unwrap();
}

#[tokio::test]
async fn a_worker_that_ends_lets_handlers_finish() {
    let broker = ScriptedBroker::listen();
    let go_on = Arc::new(Notify::new());
    let waiting = go_on.clone();
    let handler = move |job: Add, _: Cx| {
        let waiting = waiting.clone();
        async move {
            waiting.notified().await;
            Ok::<i64, Fail>(job.a)
        }
    };
    let worker = Worker::connect(&broker.url()).unwrap().handle(handler).concurrency(1);
    let mut running = Running::start(worker, GRACE);
    let (mut worker, broker) = tokio::task::spawn_blocking(move || {
        let mut worker = accept_worker(&broker);
        deliver(&mut worker, 1, "add", r#"{"a":1,"b":0}"#);
        worker.hear_nothing_for(Duration::from_millis(50));
        (worker, broker)
    })
    .await
    .unwrap();
    running.tell_to_end();
    let script = tokio::task::spawn_blocking(move || {
        let _: basic::Cancel = worker.expect(QUEUE);
        go_on.notify_one();
        assert_eq!(worker.expect_said::<basic::Publish>(RESULTS).text(), "1");
        worker.hear_nothing_for(Duration::from_millis(100));
        worker.ack(RESULTS, 1, false);
        let _: basic::Ack = worker.expect(QUEUE);
        worker.expect_goodbye();
        drop(broker);
    });
    running.end().await.unwrap();
    script.await.unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_is_given_back_without_a_result() {
    let broker = ScriptedBroker::listen();
    let handler = |_: Add, _: Cx| std::future::pending::<Result<i64, Fail>>();
    let worker = Worker::connect(&broker.url()).unwrap().handle(handler);
    let running = Running::start(worker, Duration::from_millis(50));
    let script = tokio::task::spawn_blocking(move || {
        let mut worker = accept_worker(&broker);
        deliver(&mut worker, 1, "add", r#"{"a":1,"b":0}"#);
        worker.hear_nothing_for(Duration::from_millis(50));
        worker
    });
    let mut worker = script.await.unwrap();
    let script = tokio::task::spawn_blocking(move || {
        let _: basic::Cancel = worker.expect(QUEUE);
        worker.expect_goodbye();
    });
    running.end().await.unwrap();
    script.await.unwrap();
}

#[tokio::test]
async fn heartbeats_go_on_while_handlers_block_the_runtime() {
    let broker = ScriptedBroker::listen();
    let handler = |_: Add, _: Cx| async {
        // What a handler should not do: this test's runtime has one thread.
        thread::sleep(Duration::from_millis(2500));
        Ok::<i64, Fail>(1)
    };
    let worker = Worker::connect(&broker.url()).unwrap().handle(handler);
    let running = Running::start(worker, GRACE);
    let script = tokio::task::spawn_blocking(move || {
        let mut worker = broker.accept(1);
        let _: basic::Consume = worker.expect(QUEUE);
        deliver(&mut worker, 1, "add", r#"{"a":1,"b":0}"#);
        for _ in 0..2 {
            worker.hear_nothing_for(Duration::from_millis(1000));
            worker.send_heartbeat();
        }
        assert!(worker.heartbeats >= 2, "{} heartbeats in 2 s", worker.heartbeats);
        assert_eq!(worker.expect_said::<basic::Publish>(RESULTS).text(), "1");
    });
    script.await.unwrap();
    running.end().await.unwrap();
}

#[tokio::test]
async fn a_queue_that_is_missing_is_waited_for_and_one_of_another_kind_is_an_error() {
    let broker = ScriptedBroker::listen();
    let worker = Worker::connect(&broker.url()).unwrap().handle(add);
    let running = Running::start(worker, GRACE);
    let script = tokio::task::spawn_blocking(move || {
        let mut worker = accept_worker(&broker);
        worker.close_channel(QUEUE, 404, "NOT_FOUND - no queue 'sums' in vhost '/'");
        let _: basic::Consume = worker.expect(QUEUE);
        // The broker ends the consumer: the queue was deleted.
        let consumer_tag = ShortString::from_static("worker");
        worker.send(QUEUE, basic::Cancel { consumer_tag, no_wait: true });
        let _: basic::Consume = worker.expect(QUEUE);
        let close = channel::Close {
            reply_code: 406,
            reply_text: ShortString::from_static("PRECONDITION_FAILED - inequivalent arg 'x-task-queue'"),
            class_id: 50,
            method_id: 10,
        };
        worker.send(QUEUE, close);
        let _: channel::CloseOk = worker.expect(QUEUE);
        worker.expect_goodbye();
    });
    script.await.unwrap();
    let error = running.end().await.unwrap_err();
    assert!(matches!(&error, WorkerError::OtherQueue { queue, .. } if queue == "sums"), "{error}");
}

#[tokio::test]
async fn a_worker_waits_for_a_broker_but_not_for_a_better_password() {
    let worker = Worker::connect(&ScriptedBroker::listen().url()).unwrap().handle(add);
    let running = Running::start(worker, GRACE);
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.end().await.unwrap();

    let server = crate::server::Server::start();
    let url = server.url().replace("guest:guest", "guest:wrong");
    let error = Worker::connect(&url).unwrap().handle(add).run().await.unwrap_err();
    assert!(error.to_string().contains("403 ACCESS_REFUSED"), "{error}");
    let error = Worker::connect(&url).unwrap().run().await.unwrap_err();
    assert!(matches!(error, WorkerError::NoHandlers));
    let error = Worker::connect(&url).unwrap().handle(add).handle(add).run().await.unwrap_err();
    assert!(matches!(error, WorkerError::DuplicateHandler { .. }));
}

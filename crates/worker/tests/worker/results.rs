//! From a delivery to its result.

use std::thread;
use std::time::Duration;

use amqp_wire::{Properties, ShortString, Value, basic, queue, tx};
use forebay_worker::{Cx, Fail, Job, Message, Output, Worker};

use crate::scripted_broker::ScriptedBroker;
use crate::support::{Add, QUEUE, RESULTS, Running, TRANSACTIONS, accept_worker, add, deliver};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_result_is_confirmed_before_its_delivery_is_acked() {
    let broker = ScriptedBroker::listen();
    let worker = Worker::connect(&broker.url()).unwrap().handle(add).concurrency(4);
    let script = thread::spawn(move || {
        let mut worker = broker.accept(0);
        let qos: basic::Qos = worker.expect(QUEUE);
        assert_eq!((qos.prefetch_count, qos.global), (4, false));
        let declare: queue::Declare = worker.expect(QUEUE);
        assert!(declare.durable && declare.arguments.get(b"x-task-queue") == Some(&Value::Bool(true)));
        let consume: basic::Consume = worker.expect(QUEUE);
        assert_eq!((consume.queue, consume.no_ack), (ShortString::from_static("sums"), false));

        deliver(&mut worker, 1, "add", r#"{"a":2,"b":3}"#);
        let result = worker.expect_said::<basic::Publish>(RESULTS);
        let publish: basic::Publish = result.get().unwrap();
        assert_eq!(publish.routing_key, "amq.task.reply.00000000000000000000000000000001");
        assert!(publish.mandatory && publish.exchange.is_empty());
        assert_eq!(
            (result.text(), result.properties.correlation_id.unwrap().to_string()),
            ("5".into(), "c1".into())
        );
        assert_eq!(result.properties.content_type.unwrap(), "application/json");
        worker.hear_nothing_for(Duration::from_millis(100));
        worker.ack(RESULTS, 1, false);
        let ack: basic::Ack = worker.expect(QUEUE);
        assert_eq!(ack.delivery_tag, 1);
        worker
    });
    let running = Running::start(worker, GRACE);
    let mut conversation = tokio::task::spawn_blocking(|| script.join().unwrap()).await.unwrap();
    let goodbye = thread::spawn(move || {
        let _: basic::Cancel = conversation.expect(QUEUE);
        conversation.expect_goodbye();
    });
    running.end().await.unwrap();
    goodbye.join().unwrap();
}

/// Runs a worker against a script; the worker is ended when the script is done.
async fn converse(
    worker: impl FnOnce(Worker) -> Worker,
    script: impl FnOnce(&mut crate::scripted_broker::Conversation) + Send + 'static,
) {
    let broker = ScriptedBroker::listen();
    let running = Running::start(worker(Worker::connect(&broker.url()).unwrap()), GRACE);
    let script = tokio::task::spawn_blocking(move || {
        let mut worker = accept_worker(&broker);
        script(&mut worker);
        worker
    });
    let mut conversation = script.await.unwrap();
    let goodbye = tokio::task::spawn_blocking(move || {
        let _: basic::Cancel = conversation.expect(QUEUE);
        conversation.expect_goodbye();
    });
    running.end().await.unwrap();
    goodbye.await.unwrap();
}

#[tokio::test]
async fn failures_of_all_kinds_are_told_and_the_worker_lives_on() {
    let handler = |job: Add, _: Cx| async move {
        match job.a {
            0 => panic!("no zeros"),
            1 => Err("x".parse::<i64>().unwrap_err().into()),
            _ => Err(Fail::retry_after(Duration::from_secs(9), "later")),
        }
    };
    converse(
        move |worker| worker.handle(handler),
        |worker| {
            let bodies = [r#"{"a":0,"b":0}"#, r#"{"a":1,"b":0}"#, r#"{"a":2,"b":0}"#, "nonsense"];
            let expected = [
                ("the handler panicked", Some(Value::Bool(true)), None),
                ("invalid digit found in string", Some(Value::Bool(true)), None),
                ("later", Some(Value::I64(9000)), None),
                ("the payload is no add", None, Some(Value::I32(422))),
            ];
            for (tag, (body, (error, retry, status))) in (1..).zip(bodies.into_iter().zip(expected)) {
                deliver(worker, tag, "add", body);
                let failure = worker.expect_said::<basic::Publish>(RESULTS);
                assert_eq!(failure.header("x-error"), Some(Value::text(error)));
                assert_eq!((failure.header("x-retry"), failure.header("x-status")), (retry, status));
                assert!(failure.text().starts_with(&format!(r#"{{"title":"{error}""#)), "{}", failure.text());
                worker.ack(RESULTS, tag, false);
                let _: basic::Ack = worker.expect(QUEUE);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_task_without_a_handler_goes_back() {
    converse(
        |worker| worker.handle(add),
        |worker| {
            deliver(worker, 1, "subtract", "{}");
            let nack: basic::Nack = worker.expect(QUEUE);
            assert_eq!((nack.delivery_tag, nack.requeue, nack.multiple), (1, true, false));
        },
    )
    .await;
}

#[tokio::test]
async fn a_result_that_comes_too_late_is_not_acked() {
    converse(
        |worker| worker.handle(add),
        |worker| {
            deliver(worker, 1, "add", r#"{"a":2,"b":3}"#);
            let result = worker.expect_said::<basic::Publish>(RESULTS);
            worker.send_back(&result);
            worker.ack(RESULTS, 1, false);
            let nack: basic::Nack = worker.expect(QUEUE);
            assert!(nack.requeue);
        },
    )
    .await;
}

#[tokio::test]
async fn a_result_that_the_broker_refuses_fails_its_task_and_no_other() {
    converse(
        |worker| worker.handle(add),
        |worker| {
            deliver(worker, 1, "add", r#"{"a":2,"b":3}"#);
            let _ = worker.expect_said::<basic::Publish>(RESULTS);
            deliver(worker, 2, "add", r#"{"a":4,"b":5}"#);
            let _ = worker.expect_said::<basic::Publish>(RESULTS);
            worker.close_channel(RESULTS, 406, "PRECONDITION_FAILED - message size 5 is larger than 4");
            assert_eq!(worker.expect_said::<basic::Publish>(RESULTS).text(), "9");
            let failure = worker.expect_said::<basic::Publish>(RESULTS);
            assert_eq!(failure.header("x-error"), Some(Value::text("the broker refuses the result")));
            assert_eq!(failure.header("x-retry"), None);
            assert!(failure.text().contains("larger than 4"), "{}", failure.text());
            worker.ack(RESULTS, 2, true);
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 2);
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 1);
        },
    )
    .await;
}

#[tokio::test]
async fn a_plain_message_whose_result_is_not_taken_goes_back_after_a_while() {
    converse(
        |worker| worker.handle(add),
        |worker| {
            let request = Properties {
                kind: Some(ShortString::from_static("add")),
                reply_to: Some(ShortString::from_static("answers")),
                ..Properties::default()
            };
            worker.deliver(QUEUE, "worker", 1, &request, br#"{"a":2,"b":3}"#);
            assert_eq!(worker.expect_said::<basic::Publish>(RESULTS).text(), "5");
            worker.send(RESULTS, basic::Nack { delivery_tag: 1, ..Default::default() });
            // At once it would come back at once.
            worker.hear_nothing_for(Duration::from_millis(800));
            assert!(worker.expect::<basic::Nack>(QUEUE).requeue);
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_handler_publishes_goes_out_with_its_result() {
    let handler = |job: Add, cx: Cx| async move {
        assert_eq!((cx.attempt(), cx.epoch()), (2, 7));
        cx.publish("audit", "sums", Message::new("done"))?;
        match job.b {
            0 => Err(Fail::fatal("no")),
            b => Ok(job.a + b),
        }
    };
    converse(
        move |worker| worker.handle(handler),
        |worker| {
            deliver(worker, 1, "add", r#"{"a":2,"b":3}"#);
            let message = worker.expect_said::<basic::Publish>(TRANSACTIONS);
            assert_eq!(
                (message.text(), message.get::<basic::Publish>().unwrap().exchange),
                ("done".into(), ShortString::from_static("audit"))
            );
            assert_eq!(worker.expect_said::<basic::Publish>(TRANSACTIONS).text(), "5");
            let _: tx::Commit = worker.expect(TRANSACTIONS);
            worker.hear_nothing_for(Duration::from_millis(50));
            worker.send(TRANSACTIONS, tx::CommitOk {});
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 1);

            // Refused as late: nothing happened, and the channel comes back.
            deliver(worker, 2, "add", r#"{"a":2,"b":3}"#);
            let _: tx::Commit = {
                worker.expect_publishes(TRANSACTIONS, 2);
                worker.expect(TRANSACTIONS)
            };
            worker.close_channel(TRANSACTIONS, 406, "PRECONDITION_FAILED - the lease is lost");
            assert_eq!(worker.expect::<basic::Nack>(QUEUE).delivery_tag, 2);
            deliver(worker, 3, "add", r#"{"a":4,"b":5}"#);
            assert_eq!(worker.expect_publishes(TRANSACTIONS, 2)[1].text(), "9");
            let _: tx::Commit = worker.expect(TRANSACTIONS);
            worker.send(TRANSACTIONS, tx::CommitOk {});
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 3);

            // A failure takes nothing along.
            deliver(worker, 4, "add", r#"{"a":2,"b":0}"#);
            let failure = worker.expect_said::<basic::Publish>(RESULTS);
            assert_eq!(failure.header("x-error"), Some(Value::text("no")));
            worker.ack(RESULTS, 1, false);
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 4);
        },
    )
    .await;
}

#[tokio::test]
async fn raw_handlers_take_every_name_and_blocking_ones_do_not_block() {
    let raw = |job: Job, _: Cx| async move {
        let turned: Vec<u8> = job.body.iter().rev().copied().collect();
        Ok(Output::raw("text/plain", turned).status(201))
    };
    let blocking = |job: Add, _: Cx| {
        thread::sleep(Duration::from_millis(200));
        Ok(job.a * job.b)
    };
    converse(
        move |worker| worker.handle_raw("sums", raw).handle_blocking(blocking),
        |worker| {
            deliver(worker, 1, "add", r#"{"a":2,"b":3}"#);
            deliver(worker, 2, "whatever", "abc");
            // The second one overtakes the first.
            let results = worker.expect_publishes(RESULTS, 2);
            assert_eq!((results[0].text(), results[1].text()), ("cba".into(), "6".into()));
            assert_eq!(results[0].header("x-status"), Some(Value::I32(201)));
            worker.ack(RESULTS, 2, true);
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 2);
            assert_eq!(worker.expect::<basic::Ack>(QUEUE).delivery_tag, 1);
        },
    )
    .await;
}

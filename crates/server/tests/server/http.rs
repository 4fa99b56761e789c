//! The HTTP side.

use amqp_wire::basic;

use crate::support::{Fresh, consume, declare, expect_confirm, metric, publish};

#[test]
fn a_healthy_server_says_so() {
    let fresh = Fresh::start();
    let answer = fresh.http("GET", "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{answer}");
    let head = fresh.http("HEAD", "/healthz");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn refusals_are_problems() {
    let fresh = Fresh::start();
    let answer = fresh.http("GET", "/api/overview?x=%22");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.contains(r#""status":404"#) && answer.contains("/api/overview"), "{answer}");
    let answer = fresh.http("DELETE", "/metrics");
    assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn metrics_follow_what_happens() {
    let fresh = Fresh::start();
    let mut client = fresh.publisher();
    declare(&mut client, "a", true);
    declare(&mut client, "b", true);
    for _ in 0..10 {
        publish(&mut client, "a", true, &[0; 100]);
    }
    publish(&mut client, "nowhere", true, b"");
    expect_confirm(&mut client, 11);
    consume(&mut client, "a", false);
    for _ in 0..10 {
        client.expect_delivery(1).unwrap();
    }
    client.send(1, basic::Ack { delivery_tag: 3, multiple: true }).unwrap();
    // Answered after the acknowledgement, so that it has been counted.
    declare(&mut client, "a", true);

    let answer = fresh.http("GET", "/metrics");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    for (series, value) in [
        ("rabbitmq_connections", 1),
        ("rabbitmq_channels", 1),
        ("rabbitmq_queues", 2),
        ("rabbitmq_consumers", 1),
        ("rabbitmq_queue_messages_ready", 0),
        ("rabbitmq_queue_messages_unacked", 7),
        ("rabbitmq_queue_messages_unacked_bytes", 700),
        ("rabbitmq_global_messages_received_total{protocol=\"amqp091\"}", 11),
        ("rabbitmq_global_messages_confirmed_total{protocol=\"amqp091\"}", 11),
        ("rabbitmq_global_messages_routed_total{protocol=\"amqp091\"}", 10),
        ("rabbitmq_global_messages_unroutable_dropped_total{protocol=\"amqp091\"}", 1),
        (
            "rabbitmq_global_messages_acknowledged_total{protocol=\"amqp091\",queue_type=\"rabbit_classic_queue\"}",
            3,
        ),
    ] {
        assert_eq!(metric(&answer, series), value, "{series}");
    }
    assert!(metric(&answer, "rabbitmq_process_open_fds") > 5);
    assert!(metric(&answer, "forebay_journal_durable_lsn{vhost=\"/\"}") > 0);
    assert!(answer.contains("rabbitmq_identity_info{"), "{answer}");
    drop(client);
    fresh.client();
    let answer = fresh.http("GET", "/metrics");
    assert_eq!(metric(&answer, "rabbitmq_queue_messages_ready"), 7);
}

//! What the broker does.

use super::exposition::Exposition;
use crate::node::Node;

pub(super) fn write(exposition: &mut Exposition, node: &Node) {
    let statistics = &node.statistics;
    let (opened, closed) = (statistics.connections_opened.get(), statistics.connections_closed.get());
    exposition.gauge("rabbitmq_connections", "Open connections.").value(opened.saturating_sub(closed));
    for (name, help, value) in [
        ("rabbitmq_connections_opened_total", "Connections accepted.", opened),
        ("rabbitmq_connections_closed_total", "Connections that ended.", closed),
        ("rabbitmq_auth_attempts_total", "Logins tried.", statistics.logins_attempted.get()),
        ("rabbitmq_auth_attempts_failed_total", "Logins refused.", statistics.logins_refused.get()),
        ("forebay_received_bytes_total", "Bytes read from AMQP clients.", statistics.bytes_received.get()),
        ("forebay_sent_bytes_total", "Bytes written to AMQP clients.", statistics.bytes_sent.get()),
    ] {
        exposition.counter(name, help).value(value);
    }
}

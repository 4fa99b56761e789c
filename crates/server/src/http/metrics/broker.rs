//! What the broker does, summed over its virtual hosts.

use engine::Counts;

use super::exposition::Exposition;
use super::tasks;
use crate::node::Node;

/// Reads one number out of the counts of a virtual host.
pub(super) type Number = fn(&Counts) -> u64;

/// RabbitMQ counts by protocol, and dashboards ask for this one.
const PROTOCOL: (&str, &str) = ("protocol", "amqp091");
/// It counts some by the type of the queue as well. Forebay's queues are of one kind, whatever they were
/// declared as.
const QUEUE_TYPE: (&str, &str) = ("queue_type", "rabbit_classic_queue");

const GAUGES: &[(&str, &str, Number)] = &[
    ("rabbitmq_channels", "Open channels.", |counts| counts.totals.sessions),
    ("rabbitmq_consumers", "Consumers.", |counts| counts.totals.consumers),
    ("rabbitmq_queues", "Queues.", |counts| counts.totals.queues),
    (
        "forebay_queues_halted",
        "Queues that hand nothing out because something of theirs cannot be read: see the log.",
        |counts| counts.totals.queues_halted,
    ),
    ("forebay_exchanges", "Exchanges.", |counts| counts.totals.exchanges),
    ("rabbitmq_queue_messages", "Messages, ready and unacknowledged.", |counts| {
        counts.totals.messages_ready + counts.totals.messages_unacked
    }),
    ("rabbitmq_queue_messages_ready", "Messages that wait for a consumer.", |counts| {
        counts.totals.messages_ready
    }),
    ("rabbitmq_queue_messages_ready_bytes", "Bytes of their bodies.", |counts| {
        counts.totals.messages_ready_bytes
    }),
    ("rabbitmq_queue_messages_unacked", "Messages that wait for an acknowledgement.", |counts| {
        counts.totals.messages_unacked
    }),
    ("rabbitmq_queue_messages_unacked_bytes", "Bytes of their bodies.", |counts| {
        counts.totals.messages_unacked_bytes
    }),
    ("forebay_body_cache_bytes", "Bytes of message bodies in memory.", |counts| counts.body_cache_bytes),
    ("forebay_journal_bytes", "Bytes of the journal's files.", |counts| counts.journal_bytes),
    ("forebay_storage_low", "Virtual hosts that refuse publishes because the disk is full.", |counts| {
        u64::from(counts.storage_is_low)
    }),
];

const COUNTERS: &[(&str, &str, Number)] = &[
    ("rabbitmq_channels_opened_total", "Channels opened.", |counts| counts.counters.sessions_opened),
    ("rabbitmq_channels_closed_total", "Channels closed.", |counts| counts.counters.sessions_closed),
    ("rabbitmq_queues_created_total", "Queues created.", |counts| counts.counters.queues_created),
    ("rabbitmq_queues_deleted_total", "Queues deleted.", |counts| counts.counters.queues_deleted),
    ("forebay_messages_purged_total", "Messages purged by command.", |counts| {
        counts.counters.messages_purged
    }),
    ("forebay_messages_rejected_dropped_total", "Rejected messages that had nowhere to go.", |counts| {
        counts.counters.rejected_dropped
    }),
    ("forebay_replies_dropped_total", "Direct replies whose requester was gone.", |counts| {
        counts.counters.replies_dropped
    }),
    ("forebay_publishes_without_room_total", "Publishes not taken because the disk was full.", |counts| {
        counts.counters.publishes_without_room
    }),
    ("forebay_commits_without_room_total", "Transactions refused because the disk was full.", |counts| {
        counts.counters.commits_without_room
    }),
    (
        "forebay_publishes_held_back_total",
        "Unconfirmed publishes that waited for room on the disk.",
        |counts| counts.counters.publishes_held_back,
    ),
    (
        "forebay_publishes_dropped_without_room_total",
        "Unconfirmed publishes that waited for room in vain.",
        |counts| counts.counters.dropped_without_room,
    ),
    ("forebay_segments_sealed_total", "Journal segments filled.", |counts| counts.segments_sealed),
    ("forebay_compactions_total", "Compactions of old journal segments.", |counts| counts.compactions),
    ("forebay_checkpoints_total", "Checkpoints written.", |counts| counts.checkpoints),
];

const COUNTERS_BY_PROTOCOL: &[(&str, &str, Number)] = &[
    ("rabbitmq_global_messages_received_total", "Messages published.", |counts| counts.counters.published),
    ("rabbitmq_global_messages_routed_total", "Of them, those that reached a queue.", |counts| {
        counts.counters.routed
    }),
    ("rabbitmq_global_messages_confirmed_total", "Messages confirmed to their publishers.", |counts| {
        counts.counters.confirmed
    }),
    (
        "rabbitmq_global_messages_unroutable_dropped_total",
        "Messages that met no queue and were dropped.",
        |counts| counts.counters.unroutable_dropped,
    ),
    (
        "rabbitmq_global_messages_unroutable_returned_total",
        "Messages that met no queue and were returned.",
        |counts| counts.counters.unroutable_returned,
    ),
];

const COUNTERS_BY_QUEUE_TYPE: &[(&str, &str, Number)] = &[
    ("rabbitmq_global_messages_delivered_total", "Deliveries.", |counts| counts.counters.delivered),
    ("rabbitmq_global_messages_redelivered_total", "Deliveries of messages delivered before.", |counts| {
        counts.counters.redelivered
    }),
    ("rabbitmq_global_messages_acknowledged_total", "Deliveries acknowledged.", |counts| {
        counts.counters.acknowledged
    }),
    ("rabbitmq_global_messages_get_empty_total", "Gets that found nothing.", |counts| {
        counts.counters.get_empty
    }),
];

/// Costs a look at every queue and connection, each virtual host's under its lock.
pub(super) fn write(exposition: &mut Exposition, node: &Node) {
    connections(exposition, node);
    let counts: Vec<Counts> =
        node.vhosts.iter().map(|vhost| vhost.with(|engine, _now| engine.counts())).collect();
    let sum = |number: Number| counts.iter().map(number).sum();
    for (name, help, number) in GAUGES.iter().chain(tasks::GAUGES) {
        exposition.gauge(name, help).value(sum(*number));
    }
    for (name, help, number) in COUNTERS.iter().chain(tasks::COUNTERS) {
        exposition.counter(name, help).value(sum(*number));
    }
    for (name, help, number) in COUNTERS_BY_PROTOCOL {
        exposition.counter(name, help).sample(&[PROTOCOL], sum(*number));
    }
    for (name, help, number) in COUNTERS_BY_QUEUE_TYPE {
        exposition.counter(name, help).sample(&[PROTOCOL, QUEUE_TYPE], sum(*number));
    }
    let is_low = counts.iter().any(|counts| counts.storage_is_low);
    let help = "1 while publishes are refused because the disk is full. The name is RabbitMQ's.";
    exposition.gauge("rabbitmq_alarms_free_disk_space_watermark", help).value(u64::from(is_low));
    let help = "Bytes that the journal still has room for, the reserve included, by virtual host.";
    let mut room = exposition.gauge("forebay_storage_room_bytes", help);
    for (vhost, counts) in
        node.vhosts.iter().zip(&counts).filter(|(_, counts)| counts.storage_room_bytes < u64::MAX)
    {
        room.sample(&[("vhost", vhost.name())], counts.storage_room_bytes);
    }
    let help = "The last journal entry that survives a crash, by virtual host.";
    let mut durable = exposition.gauge("forebay_journal_durable_lsn", help);
    for (vhost, counts) in node.vhosts.iter().zip(&counts) {
        durable.sample(&[("vhost", vhost.name())], counts.durable_lsn);
    }
}

fn connections(exposition: &mut Exposition, node: &Node) {
    let statistics = &node.statistics;
    let (opened, closed) = (statistics.connections_opened.get(), statistics.connections_closed.get());
    let (attempted, refused) = (statistics.logins_attempted.get(), statistics.logins_refused.get());
    exposition.gauge("rabbitmq_connections", "Open connections.").value(opened.saturating_sub(closed));
    for (name, help, value) in [
        ("rabbitmq_connections_opened_total", "Connections accepted.", opened),
        ("rabbitmq_connections_closed_total", "Connections that ended.", closed),
        ("rabbitmq_auth_attempts_total", "Logins tried.", attempted),
        ("rabbitmq_auth_attempts_succeeded_total", "Logins granted.", attempted.saturating_sub(refused)),
        ("rabbitmq_auth_attempts_failed_total", "Logins refused.", refused),
        ("forebay_received_bytes_total", "Bytes read from AMQP clients.", statistics.bytes_received.get()),
        ("forebay_sent_bytes_total", "Bytes written to AMQP clients.", statistics.bytes_sent.get()),
    ] {
        exposition.counter(name, help).value(value);
    }
}

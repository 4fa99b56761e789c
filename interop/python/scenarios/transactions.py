"""tx: nothing shows before commit, rollback undoes publishes and acks, one commit spans several queues."""

from support import Inbox, PERSISTENT, check_equal, connect, expect_channel_close, unique


def run(url):
    first, second = unique("tx-a"), unique("tx-b")
    connection = connect(url)
    watcher, channel = connection.channel(), connection.channel()
    for queue in (first, second):
        watcher.queue_declare(queue, durable=True)

    def counts():
        return tuple(watcher.queue_declare(queue, passive=True).method.message_count for queue in (first, second))

    channel.tx_select()
    for number in range(3):
        channel.basic_publish("", first, f"a{number}".encode(), PERSISTENT)
        channel.basic_publish("", second, f"b{number}".encode(), PERSISTENT)
    check_equal(counts(), (0, 0), "messages before tx.commit")
    channel.tx_commit()
    check_equal(counts(), (3, 3), "messages after tx.commit")

    channel.basic_publish("", first, b"never", PERSISTENT)
    channel.tx_rollback()
    channel.tx_commit()
    check_equal(counts(), (3, 3), "messages after tx.rollback")

    move(channel, first, second)
    check_equal(counts(), (2, 4), "after the move of one message from a to b")
    rolled_back_ack(connection, first)
    check_equal(counts(), (2, 4), "after a rolled back ack and the end of its channel")

    expect_channel_close(
        connection,
        406,
        "PRECONDITION_FAILED - channel is not transactional",
        (90, 20),
        lambda other: other.tx_commit(),
    )
    for queue in (first, second):
        watcher.queue_delete(queue)
    connection.close()


def move(channel, source, target):
    method, _, body = channel.basic_get(source)
    check_equal(body, b"a0", "head of the source")
    channel.basic_publish("", target, body, PERSISTENT)
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()


def rolled_back_ack(connection, queue):
    """An ack that was rolled back leaves the message unacknowledged, not requeued; it can be acked again."""
    channel = connection.channel()
    channel.tx_select()
    inbox = Inbox(channel, queue)
    deliveries = inbox.settle(2)
    channel.basic_ack(deliveries[0].tag)
    channel.tx_rollback()
    inbox.settle(2)
    channel.basic_ack(deliveries[0].tag)
    channel.tx_rollback()
    channel.close()

"""Many channels of one connection at once: each keeps its own order, tags, confirms and errors."""

import pika

from support import Inbox, check_equal, connect, expect_channel_close, unique

CHANNELS = 50
MESSAGES = 20


def run(url):
    connection = connect(url)
    channels = [connection.channel() for _ in range(CHANNELS)]
    queues = [channel.queue_declare("", exclusive=True).method.queue for channel in channels]
    inboxes = [Inbox(channel, queue) for channel, queue in zip(channels, queues)]
    for number in range(MESSAGES):
        for channel, queue in zip(channels, queues):
            channel.basic_publish("", queue, f"{queue} {number}".encode() + b"." * (number * 997))

    expect_channel_close(
        connection,
        404,
        "NOT_FOUND - no exchange 'interop.nowhere' in vhost '/'",
        (60, 40),
        lambda channel: channel.basic_publish("interop.nowhere", "", b"an error beside them all"),
    )
    for queue, inbox in zip(queues, inboxes):
        deliveries = inbox.wait(MESSAGES)
        check_equal([d.tag for d in deliveries], list(range(1, MESSAGES + 1)), "delivery tags count per channel")
        heads = [d.body.split(b".")[0:1] for d in deliveries]
        check_equal(len({len(d.body) for d in deliveries}), MESSAGES, "sizes")
        check_equal(all(d.body.startswith(queue.encode()) for d in deliveries), True, f"owner of {heads[:2]}")
        inbox.channel.basic_ack(MESSAGES, multiple=True)
    reopen(connection)
    connection.close()


def reopen(connection):
    """A number is free again once its channel is closed, with all its state gone."""
    for _ in range(5):
        channel = connection.channel(900)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"x", pika.BasicProperties())
        check_equal(channel.basic_get(queue)[0].delivery_tag, 1, "first delivery tag of a reopened channel")
        channel.close()

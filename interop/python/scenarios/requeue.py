"""Requeued messages return to their original position, by nack, reject, recover and the end of a channel."""

from support import Inbox, check_equal, connect, unique


def run(url):
    connection = connect(url)
    owner = connection.channel()
    queue = owner.queue_declare("", exclusive=True).method.queue
    expected = [str(number) for number in range(10)]

    ways = {
        "nack multiple": lambda channel, tags: channel.basic_nack(tags[-1], multiple=True, requeue=True),
        "nack one by one, backwards": lambda channel, tags: [channel.basic_nack(tag) for tag in reversed(tags)],
        "reject out of order": lambda channel, tags: [channel.basic_reject(tag) for tag in tags[1::2] + tags[::2]],
        "recover": lambda channel, _tags: channel.basic_recover(requeue=True),
        "close of the channel": lambda channel, _tags: channel.close(),
    }
    for number in expected:
        owner.basic_publish("", queue, number.encode())
    for way, requeue in ways.items():
        channel = connection.channel()
        tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(6)]
        requeue(channel, tags)
        if channel.is_open:
            channel.close()
        check_order(connection, queue, expected, way)

    # Rejected without requeue and without a dead-letter exchange: dropped.
    channel = connection.channel()
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(3)]
    channel.basic_reject(tags[0], requeue=False)
    channel.basic_nack(tags[2], multiple=True, requeue=False)
    channel.close()
    check_order(connection, queue, expected[3:], "drop of the first three")
    connection.close()


def check_order(connection, queue, expected, way):
    """Looks at the whole queue through a consumer and gives everything back by closing its channel."""
    channel = connection.channel()
    inbox = Inbox(channel, queue)
    inbox.settle(len(expected), seconds=0.05)
    check_equal(inbox.texts(), expected, f"order after {way}")
    channel.close()

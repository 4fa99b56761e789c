"""An exclusive queue is locked for other connections (405) and gone when its connection has closed."""

from support import check_equal, connect, expect_channel_close, unique


def run(url):
    queue = unique("exclusive")
    owner, other = connect(url), connect(url)
    channel = owner.channel()
    channel.queue_declare(queue, exclusive=True)
    channel.queue_declare(queue, exclusive=True)

    locked = (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be "
        "originally declared on another connection or the exclusive property value does not match that of the "
        "original declaration."
    )[:255]
    tries = {
        (50, 10): lambda c: c.queue_declare(queue, exclusive=True),
        (50, 20): lambda c: c.queue_bind(queue, "amq.fanout"),
        (50, 30): lambda c: c.queue_purge(queue),
        (50, 40): lambda c: c.queue_delete(queue),
        (60, 20): lambda c: c.basic_consume(queue, lambda *_: None),
        (60, 70): lambda c: c.basic_get(queue),
    }
    for ids, action in tries.items():
        expect_channel_close(other, 405, locked, ids, action)
    expect_channel_close(other, 405, locked, (50, 10), lambda c: c.queue_declare(queue, passive=True))

    other.channel().basic_publish("", queue, b"publishing to it is allowed")
    other.channel()  # a round trip: the publish has been taken
    check_equal(channel.basic_get(queue, auto_ack=True)[2], b"publishing to it is allowed", "message")

    owner.close()  # close-ok comes after the queue is gone, so the next declare cannot meet it
    expect_channel_close(
        other,
        404,
        f"NOT_FOUND - no queue '{queue}' in vhost '/'",
        (50, 10),
        lambda c: c.queue_declare(queue, passive=True),
    )
    other.channel().queue_declare(queue, exclusive=True)
    other.close()

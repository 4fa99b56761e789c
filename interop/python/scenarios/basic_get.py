"""basic.get: one message at a time with the count of what is left, an empty answer, and acks of what was got."""

from support import check, check_equal, connect, unique


def run(url):
    connection = connect(url)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    check_equal(channel.basic_get(queue)[0], None, "get from an empty queue")
    for number in range(3):
        channel.basic_publish("", queue, str(number).encode())

    method, _, body = channel.basic_get(queue)
    check_equal((body, method.message_count, method.redelivered), (b"0", 2, False), "first get")
    check_equal((method.exchange, method.routing_key, method.delivery_tag), ("", queue, 1), "its envelope")
    method, _, body = channel.basic_get(queue, auto_ack=True)
    check_equal((body, method.message_count, method.delivery_tag), (b"1", 1, 2), "second get, without ack")

    # An unacknowledged get is not ready; it comes back in its place when its channel ends.
    check_equal(channel.queue_declare(queue, passive=True).method.message_count, 1, "ready beside one unacked")
    channel.close()
    channel = connection.channel()
    method, _, body = channel.basic_get(queue)
    check_equal((body, method.redelivered, method.delivery_tag), (b"0", True, 1), "first get on the next channel")
    method2, _, body = channel.basic_get(queue)
    check_equal((body, method2.redelivered), (b"2", False), "last message")
    channel.basic_ack(method2.delivery_tag, multiple=True)
    check_equal(channel.basic_get(queue)[0], None, "get after everything was acked")
    purge(channel, queue)
    connection.close()


def purge(channel, queue):
    for _ in range(4):
        channel.basic_publish("", queue, b"x")
    held, _, _ = channel.basic_get(queue)
    check_equal(channel.queue_purge(queue).method.message_count, 3, "purge counts ready messages only")
    channel.basic_nack(held.delivery_tag)
    check(channel.basic_get(queue, auto_ack=True)[2] == b"x", "purge took an unacknowledged message")
    for _ in range(2):
        channel.basic_publish("", queue, b"y")
    check_equal(channel.queue_delete(queue).method.message_count, 2, "queue.delete answers with the ready count")
    check_equal(channel.queue_delete(queue).method.message_count, 0, "queue.delete of a missing queue")

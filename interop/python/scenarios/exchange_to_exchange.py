"""Exchanges bound to exchanges: each queue gets one copy whatever the number of paths, and cycles end."""

from support import Inbox, check_equal, connect, unique


def run(url):
    source, left, right = unique("source"), unique("left"), unique("right")
    connection = connect(url)
    channel = connection.channel()
    channel.exchange_declare(source, "topic")
    channel.exchange_declare(left, "fanout")
    channel.exchange_declare(right, "direct")
    channel.exchange_bind(left, source, "left.#")
    channel.exchange_bind(right, source, "#")
    channel.exchange_bind(source, left)  # a cycle
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, left)
    channel.queue_bind(queue, right, "left.and.right")
    channel.queue_bind(queue, right, "right")
    inbox = Inbox(channel, queue, auto_ack=True)

    for key in ("left", "left.and.right", "right", "neither"):
        channel.basic_publish(source, key, key.encode())
    inbox.settle(3)
    check_equal(inbox.texts(), ["left", "left.and.right", "right"], "one copy by each route")
    check_equal(inbox.deliveries[0].method.exchange, source, "the exchange of the publish is what the consumer sees")

    channel.exchange_unbind(left, source, "left.#")
    channel.exchange_unbind(left, source, "left.#")  # a missing binding is not an error
    channel.basic_publish(source, "left", b"gone")
    channel.basic_publish(source, "right", b"still")
    check_equal(inbox.settle(4)[-1].text, "still", "after the unbind")
    for exchange in (source, left, right):
        channel.exchange_delete(exchange)
    channel.exchange_delete(source)  # a missing exchange is not an error
    connection.close()

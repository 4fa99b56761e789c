"""A killed and restarted broker has every confirmed persistent message of durable queues, in order, and nothing else."""

import pika

from support import PERSISTENT, check_equal, connect, expect_channel_close, restart_broker, unique


def run(url):
    queue, exchange, passing = unique("durable"), unique("durable-exchange"), unique("transient")
    connection = connect(url)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare(exchange, "topic", durable=True)
    channel.queue_declare(queue, durable=True)
    channel.queue_bind(queue, exchange, "keep.#")
    channel.queue_declare(passing, durable=False)
    for number in range(100):
        channel.basic_publish(exchange, f"keep.{number}", str(number).encode(), PERSISTENT)
    channel.basic_publish(exchange, "keep.transient", b"transient", pika.BasicProperties(delivery_mode=1))
    channel.basic_publish("", passing, b"in a transient queue", PERSISTENT)
    for number in range(10):
        method, _, _ = channel.basic_get(queue)
        channel.basic_ack(method.delivery_tag)
    channel.basic_get(queue)  # held without an ack when the broker dies
    channel.basic_publish(exchange, "keep.100", b"100", PERSISTENT)  # its confirm follows those acks to the disk

    restart_broker()

    connection = connect(url)
    channel = connection.channel()
    channel.confirm_delivery()
    check_equal(channel.queue_declare(queue, durable=True).method.message_count, 91, "messages after the restart")
    bodies = []
    for _ in range(91):
        method, _, body = channel.basic_get(queue, auto_ack=True)
        check_equal(method.exchange, exchange, "exchange of a recovered message")
        check_equal(method.routing_key, f"keep.{body.decode()}", "routing key of a recovered message")
        bodies.append(int(body))
    check_equal(bodies, list(range(10, 101)), "recovered messages")
    expect_channel_close(
        connection,
        404,
        f"NOT_FOUND - no queue '{passing}' in vhost '/'",
        (50, 10),
        lambda other: other.queue_declare(passing, passive=True),
    )

    channel.basic_publish(exchange, "keep.after", b"after", PERSISTENT)  # the binding survived too
    check_equal(channel.basic_get(queue, auto_ack=True)[2], b"after", "a message routed after the restart")
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)
    connection.close()

"""Remote procedure call over `amq.rabbitmq.reply-to`: no reply queue at all."""

import pika

from support import Inbox, check, check_equal, connect, expect_channel_close, unique

REPLY_TO = "amq.rabbitmq.reply-to"


def run(url):
    requests = unique("direct-rpc")
    server, client = connect(url), connect(url)
    desk = server.channel()
    desk.queue_declare(requests)
    inbox = Inbox(desk, requests)

    channel = client.channel()
    replies = Inbox(channel, REPLY_TO, auto_ack=True)
    channel.basic_publish(
        "", requests, b"21", pika.BasicProperties(reply_to=REPLY_TO, correlation_id="c", headers={"kept": 1})
    )
    request = inbox.wait(1)[0]
    address = request.properties.reply_to
    check(address.startswith(REPLY_TO + ".") and len(address) > len(REPLY_TO) + 8, f"rewritten reply_to: {address!r}")
    check_equal(request.properties.correlation_id, "c", "the other properties are left alone")
    check_equal(request.properties.headers, {"kept": 1}, "headers beside the rewritten reply_to")
    desk.basic_publish("", address, b"42", pika.BasicProperties(correlation_id="c"))
    reply = replies.settle(1)[0]
    check_equal((reply.text, reply.properties.correlation_id), ("42", "c"), "reply")
    check_equal((reply.method.exchange, reply.method.routing_key), ("", address), "where the reply came from")

    probe = desk.queue_declare(REPLY_TO, passive=True).method
    check_equal((probe.queue, probe.message_count, probe.consumer_count), (REPLY_TO, 0, 1), "probe by declare")
    desk.queue_declare(address, passive=True)

    expect_channel_close(
        client,
        406,
        "PRECONDITION_FAILED - reply consumer cannot acknowledge",
        (60, 20),
        lambda other: other.basic_consume(REPLY_TO, lambda *_: None, auto_ack=False),
    )
    expect_channel_close(
        client,
        406,
        "PRECONDITION_FAILED - fast reply consumer does not exist",
        (60, 40),
        lambda other: other.basic_publish("", requests, b"", pika.BasicProperties(reply_to=REPLY_TO)),
    )

    # A reply to somebody who left is dropped in silence.
    client.close()
    desk.basic_publish("", address, b"too late")
    check_equal(desk.queue_declare(requests, passive=True).method.message_count, 0, "requests left")
    desk.queue_delete(requests)
    server.close()

"""Channel errors: RabbitMQ's code, its whole text and the ids of the method at fault; the connection lives on."""

import pika

from support import Inbox, connect, expect_channel_close, unique


def run(url):
    connection = connect(url)
    owner = connection.channel()
    queue, exchange, missing = unique("errors"), unique("errors-exchange"), unique("missing")
    owner.queue_declare(queue, durable=True)
    owner.exchange_declare(exchange, "direct", durable=True)
    for code, text, ids, action in cases(queue, exchange, missing):
        expect_channel_close(connection, code, text, ids, action)
    owner.queue_delete(queue)
    owner.exchange_delete(exchange)
    connection.close()


def cases(queue, exchange, missing):
    """(code, text, (class, method), action on a fresh channel)"""
    no_queue = f"NOT_FOUND - no queue '{missing}' in vhost '/'"
    no_exchange = f"NOT_FOUND - no exchange '{missing}' in vhost '/'"
    inequivalent = "PRECONDITION_FAILED - inequivalent arg"
    yield 404, no_queue, (50, 10), lambda c: c.queue_declare(missing, passive=True)
    yield 404, no_queue, (60, 20), lambda c: c.basic_consume(missing, lambda *_: None)
    yield 404, no_queue, (60, 70), lambda c: c.basic_get(missing)
    yield 404, no_queue, (50, 30), lambda c: c.queue_purge(missing)
    yield 404, no_queue, (50, 20), lambda c: c.queue_bind(missing, exchange)
    yield 404, no_exchange, (50, 20), lambda c: c.queue_bind(queue, missing)
    yield 404, no_exchange, (40, 10), lambda c: c.exchange_declare(missing, passive=True)
    yield 404, no_exchange, (60, 40), lambda c: c.basic_publish(missing, "key", b"")
    yield 404, no_exchange, (40, 30), lambda c: c.exchange_bind(exchange, missing)
    yield (
        406,
        f"{inequivalent} 'durable' for queue '{queue}' in vhost '/': received 'false' but current is 'true'",
        (50, 10),
        lambda c: c.queue_declare(queue, durable=False),
    )
    yield (
        406,
        f"{inequivalent} 'x-max-length' for queue '{queue}' in vhost '/': "
        "received the value '10' of type 'signedint' but current is none",
        (50, 10),
        lambda c: c.queue_declare(queue, durable=True, arguments={"x-max-length": 10}),
    )
    yield (
        406,
        f"{inequivalent} 'type' for exchange '{exchange}' in vhost '/': received 'fanout' but current is 'direct'",
        (40, 10),
        lambda c: c.exchange_declare(exchange, "fanout", durable=True),
    )
    yield (
        406,
        f"{inequivalent} 'durable' for exchange '{exchange}' in vhost '/': received 'false' but current is 'true'",
        (40, 10),
        lambda c: c.exchange_declare(exchange, "direct", durable=False),
    )
    yield (
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
        (40, 10),
        lambda c: c.exchange_declare("amq.mine", "direct"),
    )
    yield (
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
        (50, 10),
        lambda c: c.queue_declare("amq.mine"),
    )
    yield (
        403,
        "ACCESS_REFUSED - operation not permitted on the default exchange",
        (50, 20),
        lambda c: c.queue_bind(queue, ""),
    )
    yield (
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        (40, 20),
        lambda c: c.exchange_delete("amq.direct"),
    )
    yield 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 80), lambda c: c.basic_ack(7)
    yield 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 90), lambda c: c.basic_reject(7)
    yield 406, "PRECONDITION_FAILED - unknown delivery tag 7", (60, 120), lambda c: c.basic_nack(7)
    yield 406, "PRECONDITION_FAILED - unknown delivery tag 1", (60, 80), lambda c: ack_twice(c, queue)
    yield (
        406,
        "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        (90, 10),
        lambda c: (c.confirm_delivery(), c.tx_select()),
    )
    yield 403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use", (60, 20), (
        lambda c: (c.basic_consume(queue, lambda *_: None), c.basic_consume(queue, lambda *_: None, exclusive=True))
    )
    yield (
        406,
        f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use",
        (50, 40),
        lambda c: (c.basic_consume(queue, lambda *_: None), c.queue_delete(queue, if_unused=True)),
    )
    yield (
        406,
        f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty",
        (50, 40),
        lambda c: (c.basic_publish("", queue, b"x"), c.queue_delete(queue, if_empty=True)),
    )
    yield (
        406,
        "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        (60, 40),
        lambda c: c.basic_publish("", queue, b"x", pika.BasicProperties(expiration="soon")),
    )
    yield (
        406,
        "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
        (60, 40),
        lambda c: c.basic_publish("", queue, b"x", pika.BasicProperties(user_id="somebody")),
    )


def ack_twice(channel, queue):
    channel.basic_publish("", queue, b"x")
    delivery = Inbox(channel, queue).wait(1)[0]
    channel.basic_ack(delivery.tag)
    channel.basic_ack(delivery.tag)

"""Errors that end the connection: their code, whole text and the ids of the method at fault."""

import pika

from support import Breach, check_equal, connect, unique


def run(url):
    expect_connection_close(
        url,
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'twice'",
        (60, 20),
        lambda channel, queue: [channel.basic_consume(queue, lambda *_: None, consumer_tag=tag) for tag in ("twice",)]
        and channel._impl._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag="twice")),
    )
    expect_connection_close(
        url,
        540,
        "NOT_IMPLEMENTED - immediate=true",
        (60, 40),
        lambda channel, queue: channel._impl._send_method(
            pika.spec.Basic.Publish(exchange="", routing_key=queue, immediate=True), (pika.BasicProperties(), b"now")
        ),
    )
    expect_connection_close(
        url,
        540,
        "NOT_IMPLEMENTED - prefetch_size!=0 (10)",
        (60, 10),
        lambda channel, _: channel.basic_qos(prefetch_size=10),
    )
    expect_connection_close(
        url,
        504,
        "CHANNEL_ERROR - second 'channel.open' seen",
        (20, 10),
        lambda channel, _: channel._impl._send_method(pika.spec.Channel.Open()),
    )
    missing_vhost(url)


def expect_connection_close(url, code, text, ids, action):
    connection = connect(url)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    blamed = []
    connection._impl.callbacks.add(
        0,
        pika.spec.Connection.Close,
        lambda frame: blamed.append((frame.method.class_id, frame.method.method_id)),
    )
    try:
        action(channel, queue)
        connection.process_data_events(time_limit=5)
    except pika.exceptions.ConnectionClosedByBroker as closed:
        check_equal((closed.reply_code, closed.reply_text), (code, text), "connection.close")
        check_equal(blamed, [ids], f"class and method of the connection.close {code}")
        return
    raise Breach(f"the connection should have been closed with {code} {text!r}, but stays open")


def missing_vhost(url):
    vhost = unique("vhost")
    try:
        connect(url, virtual_host=vhost).close()
    except pika.exceptions.ProbableAccessDeniedError as refused:
        # pika keeps the broker's close only as text.
        expected = f"ConnectionClosedByBroker: (530) 'NOT_ALLOWED - vhost {vhost} not found'"
        check_equal(str(refused.args[0]) if refused.args else "", expected, "connection.open of a missing vhost")
        return
    raise Breach("a connection to a missing vhost was accepted")

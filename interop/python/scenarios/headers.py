"""Headers exchange: all, any, their -with-x forms, presence by a void value."""

import pika

from support import Inbox, check_equal, connect, expect_channel_close, unique

BINDINGS = {
    "all": {"x-match": "all", "format": "pdf", "pages": 5},
    "default": {"format": "pdf", "pages": 5},
    "any": {"x-match": "any", "format": "pdf", "pages": 5},
    "presence": {"x-match": "all", "format": None},
    "wide": {"x-match": "all", "size": 2**40},
    "x-skipped": {"x-match": "all", "format": "pdf", "x-secret": "1"},
    "empty all": {"x-match": "all"},
    "empty any": {"x-match": "any"},
}

MESSAGES = {
    "both": ({"format": "pdf", "pages": 5}, {"all", "default", "any", "presence", "x-skipped", "empty all"}),
    "format": ({"format": "pdf"}, {"any", "presence", "x-skipped", "empty all"}),
    "other format": ({"format": "txt", "more": True}, {"presence", "empty all"}),
    "text five": ({"pages": "5"}, {"empty all"}),
    "big": ({"size": 2**40}, {"wide", "empty all"}),
    "none": (None, {"empty all"}),
}


def run(url):
    exchange = unique("headers")
    connection = connect(url)
    channel = connection.channel()
    channel.exchange_declare(exchange, "headers", auto_delete=True)
    inboxes = {}
    for name, arguments in BINDINGS.items():
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, routing_key="plays no part", arguments=arguments)
        inboxes[name] = Inbox(channel, queue, auto_ack=True)
    for name, (headers, _) in MESSAGES.items():
        channel.basic_publish(exchange, "any key", name.encode(), pika.BasicProperties(headers=headers))
    inboxes["empty all"].settle(len(MESSAGES))
    for binding, inbox in inboxes.items():
        expected = [name for name, (_, bindings) in MESSAGES.items() if binding in bindings]
        check_equal(inbox.texts(), expected, f"messages matched by {binding!r}")
    expect_channel_close(
        connection,
        406,
        'PRECONDITION_FAILED - Invalid x-match field value <<"most">>; '
        "expected all, any, all-with-x, or any-with-x",
        (50, 20),
        lambda other: other.queue_bind(queue, exchange, arguments={"x-match": "most"}),
    )
    connection.close()

"""Topic exchange: `*` is exactly one word, `#` is zero or more, a message enters a queue once however many keys match."""

from support import Inbox, check_equal, connect, unique

KEYS = ["", "a", "a.b", "a.b.c", "a..c", "kern.critical", "kern", "kern.", ".kern", "b.a.b", "quick.orange.rabbit"]

PATTERNS = {
    "#": KEYS,
    "*": ["a", "kern"],
    "a": ["a"],
    "a.*": ["a.b"],
    "a.#": ["a", "a.b", "a.b.c", "a..c"],
    "*.*": ["a.b", "kern.critical", "kern.", ".kern"],
    "a.*.c": ["a.b.c", "a..c"],
    "#.b": ["a.b", "b.a.b"],
    "#.a.#": ["a", "a.b", "a.b.c", "a..c", "b.a.b"],
    "*.kern": [".kern"],
    "kern.#": ["kern.critical", "kern", "kern."],
    "*.orange.*": ["quick.orange.rabbit"],
    "#.*": [key for key in KEYS if key],
    "a.#.c": ["a.b.c", "a..c"],
    "ker*": [],
    "": [""],
}


def run(url):
    exchange = unique("topic")
    connection = connect(url)
    channel = connection.channel()
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    inboxes = {}
    for pattern in PATTERNS:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, routing_key=pattern)
        inboxes[pattern] = Inbox(channel, queue, auto_ack=True)
    both = channel.queue_declare("", exclusive=True).method.queue
    for pattern in ("kern.*", "*.critical", "#"):
        channel.queue_bind(both, exchange, routing_key=pattern)
    inboxes["three bindings"] = Inbox(channel, both, auto_ack=True)

    for key in KEYS:
        channel.basic_publish(exchange, key, key.encode())
    inboxes["three bindings"].settle(len(KEYS))
    for pattern, expected in PATTERNS.items():
        check_equal(inboxes[pattern].texts(), expected, f"keys matched by {pattern!r}")
    check_equal(inboxes["three bindings"].texts(), KEYS, "keys in the queue with three bindings")

    # After an unbind only the other keys count.
    channel.queue_unbind(both, exchange, "#")
    channel.basic_publish(exchange, "nothing.here", b"lost")
    channel.basic_publish(exchange, "kern.again", b"kept")
    check_equal(inboxes["three bindings"].settle(len(KEYS) + 1)[-1].text, "kept", "after the unbind of '#'")
    connection.close()

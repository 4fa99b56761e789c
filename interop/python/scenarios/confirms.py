"""Publisher confirms: one by one, in batches, and the return of an unroutable message before its confirm."""

import pika

from support import PERSISTENT, check, check_equal, connect, unique


def run(url):
    queue = unique("confirms")
    connection = connect(url)
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for number in range(20):
        channel.basic_publish("", queue, f"{number}".encode(), PERSISTENT)
    check_equal(channel.queue_declare(queue, passive=True).method.message_count, 20, "messages after 20 confirms")

    # Without `mandatory` an unroutable message is confirmed and gone.
    channel.basic_publish("", unique("missing"), b"nobody")
    try:
        channel.basic_publish("", unique("missing"), b"nobody", mandatory=True)
        check(False, "an unroutable mandatory message was not returned before its confirm")
    except pika.exceptions.UnroutableError as error:
        (returned,) = error.messages
        check_equal((returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"), "basic.return")
        check_equal(returned.body, b"nobody", "body of the return")
    channel.queue_delete(queue)
    connection.close()
    batch(url)


def batch(url):
    """Many in flight at once: every number is confirmed once, by `multiple` or alone, and returns precede confirms."""
    count, events, state = 2000, [], {}
    queue = unique("batch")

    def on_open(connection):
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        state["channel"] = channel
        channel.add_on_return_callback(lambda _c, method, _p, body: events.append(("return", int(body))))
        channel.queue_declare(queue, durable=True, exclusive=True, callback=on_queue)

    def on_queue(_frame):
        state["channel"].confirm_delivery(on_confirm, callback=on_select)

    def on_select(_frame):
        for number in range(1, count + 1):
            key = queue if number % 100 else unique("missing")
            state["channel"].basic_publish("", key, str(number).encode(), PERSISTENT, mandatory=True)

    def on_confirm(frame):
        method = frame.method
        events.append((method.NAME, method.delivery_tag, method.multiple))
        if len(confirmed(events)) >= count:
            state["channel"].connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(url), on_open_callback=on_open, on_close_callback=lambda c, _: c.ioloop.stop()
    )
    connection.ioloop.call_later(30, connection.ioloop.stop)
    connection.ioloop.start()

    numbers = confirmed(events)
    check_equal(sorted(numbers), list(range(1, count + 1)), "confirmed numbers")
    for number in range(100, count + 1, 100):
        check(("return", number) in events, f"unroutable mandatory message {number} was never returned")
        returned_at = events.index(("return", number))
        check(number not in confirmed(events[:returned_at]), f"message {number} was confirmed before its return")


def confirmed(events):
    """The numbers that these events confirm, each as often as it was confirmed."""
    numbers, outstanding = [], 1
    seen = set()
    for event in events:
        if event[0] != "Basic.Ack":
            check(event[0] == "return", f"unexpected {event}")
            continue
        _, tag, multiple = event
        fresh = [n for n in range(outstanding, tag + 1) if n not in seen] if multiple else [tag]
        if multiple:
            outstanding = tag + 1
        seen.update(fresh)
        numbers.extend(fresh)
    return numbers

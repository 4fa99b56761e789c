"""Bodies of every awkward size come back byte for byte: empty, one byte, around the frame limit, 10 MB."""

import hashlib

import pika

from support import Inbox, check_equal, connect, unique


def run(url):
    for frame_max in (131072, 4096):
        sizes = [0, 1, frame_max - 9, frame_max - 8, frame_max - 7, 2 * (frame_max - 8), 2 * (frame_max - 8) + 1]
        if frame_max == 131072:
            sizes.append(10 * 1024 * 1024)
        round_trip(url, frame_max, sizes)


def round_trip(url, frame_max, sizes):
    connection = connect(url, frame_max=frame_max)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    inbox = Inbox(channel, queue, auto_ack=True)
    for size in sizes:
        channel.basic_publish("", queue, body_of(size), full_properties(size))
    for size, delivery in zip(sizes, inbox.settle(len(sizes))):
        check_equal(len(delivery.body), size, f"size of the body with frame_max {frame_max}")
        same = hashlib.sha256(delivery.body).digest() == hashlib.sha256(body_of(size)).digest()
        check_equal(same, True, f"body of {size} bytes is unchanged")
        check_equal(vars(delivery.properties), vars(full_properties(size)), "properties")
    connection.close()


def body_of(size):
    """Not periodic in any frame size, so that swapped or repeated frames show."""
    block = b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))
    return block[:size]


def full_properties(size):
    return pika.BasicProperties(
        content_type="application/octet-stream",
        content_encoding="identity",
        headers={
            "size": size,
            "text": "grüße",
            "big": 2**40,
            "negative": -5,
            "yes": True,
            "nothing": None,
            "nested": {"list": [1, "two", {"three": 3}]},
        },
        delivery_mode=2,
        priority=3,
        correlation_id="correlation",
        reply_to="somewhere",
        expiration="60000",
        message_id="id-1",
        timestamp=1_700_000_000,
        type="kind",
        app_id="interop",
        cluster_id="",
    )

"""Prefetch per consumer, and per channel with `global`; an ack lets the next message come."""

from support import Inbox, check_equal, connect, unique


def run(url):
    connection = connect(url)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for number in range(30):
        channel.basic_publish("", queue, str(number).encode())

    # Per consumer: a later basic.qos counts for later consumers only.
    channel.basic_qos(prefetch_count=3)
    three = Inbox(channel, queue)
    channel.basic_qos(prefetch_count=5)
    five = Inbox(channel, queue)
    three.settle(3)
    five.settle(5)
    channel.basic_ack(three.deliveries[1].tag)
    three.settle(4)
    five.settle(5)
    check_equal(three.texts()[:3], ["0", "1", "2"], "messages of the first consumer")
    channel.close()

    # The channel's own limit, shared by its consumers, at once for all of them.
    channel = connection.channel()
    channel.basic_qos(prefetch_count=4, global_qos=True)
    inboxes = [Inbox(channel, queue), Inbox(channel, queue)]
    connection.process_data_events(time_limit=0.3)
    deliveries = sorted((d for inbox in inboxes for d in inbox.deliveries), key=lambda d: d.tag)
    check_equal(len(deliveries), 4, "deliveries on a channel with a global prefetch of 4")
    channel.basic_ack(deliveries[1].tag, multiple=True)
    connection.process_data_events(time_limit=0.3)
    check_equal(sum(len(inbox.deliveries) for inbox in inboxes), 6, "deliveries after two acks")
    channel.close()

    # Without acks prefetch plays no part.
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    everything = Inbox(channel, queue, auto_ack=True).settle(27)
    check_equal([d.text for d in everything], [str(number) for number in range(3, 30)], "all but the three acked")
    connection.close()

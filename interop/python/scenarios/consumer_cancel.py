"""A consumer whose queue is deleted hears basic.cancel; its own cancel is answered and ends its deliveries."""

from support import Inbox, check, check_equal, connect, unique, wait_until


def run(url):
    queue = unique("cancel")
    connection, other = connect(url), connect(url)
    channel, admin = connection.channel(), other.channel()
    admin.queue_declare(queue)
    cancelled = []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    inbox = Inbox(channel, queue)
    admin.basic_publish("", queue, b"held")
    held = inbox.wait(1)[0]
    admin.queue_delete(queue)

    def heard():
        connection.process_data_events(time_limit=0.05)
        return cancelled

    wait_until(heard, "basic.cancel after the queue was deleted")
    check_equal(cancelled, [inbox.tag], "cancelled consumers")
    channel.basic_ack(held.tag)  # settles nothing, and is no error
    own_cancel(connection, admin)
    connection.close()
    other.close()


def own_cancel(connection, admin):
    channel = connection.channel()
    queue = channel.queue_declare("", auto_delete=True).method.queue
    inbox = Inbox(channel, queue)
    admin.basic_publish("", queue, b"unacked")
    inbox.wait(1)
    second = connection.channel()
    keeper = Inbox(second, queue)
    channel.basic_cancel(inbox.tag)
    admin.basic_publish("", queue, b"after")
    check_equal(keeper.settle(1)[0].text, "after", "message after the cancel goes to the other consumer")
    check_equal(len(inbox.deliveries), 1, "deliveries of a cancelled consumer")
    channel.basic_nack(inbox.deliveries[0].tag)  # unacked messages stay with the channel until it settles them
    check(keeper.settle(2)[1].redelivered, "the message nacked after the cancel is marked redelivered")
    second.basic_cancel(keeper.tag)

    def gone():
        try:
            probe = connection.channel()
            probe.queue_declare(queue, passive=True)
            probe.close()
            return False
        except Exception as error:  # pika raises ChannelClosedByBroker
            check_equal(getattr(error, "reply_code", error), 404, "probe of an auto-delete queue")
            return True

    wait_until(gone, "the auto-delete queue goes with its last consumer")

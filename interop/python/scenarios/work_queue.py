"""Workers share tasks fairly; what a crashed worker had not acknowledged goes to another one, marked redelivered."""

import socket

from support import Inbox, PERSISTENT, check, check_equal, connect, unique, wait_until


def run(url):
    queue = unique("work")
    boss, steady, doomed = connect(url), connect(url), connect(url)
    office = boss.channel()
    office.queue_declare(queue, durable=True)

    inboxes = []
    for worker in (steady, doomed):
        channel = worker.channel()
        channel.basic_qos(prefetch_count=1)
        inboxes.append(Inbox(channel, queue))
    for number in range(10):
        office.basic_publish("", queue, f"task-{number}".encode(), PERSISTENT)

    # Prefetch 1: each worker holds one task, whatever the length of the queue.
    kept, lost = inboxes[0].settle(1)[0], inboxes[1].settle(1)[0]
    check_equal({kept.text, lost.text}, {"task-0", "task-1"}, "the first task of each worker")
    check(not kept.redelivered and not lost.redelivered, "first deliveries must not be marked redelivered")

    crash(doomed)
    wait_until(lambda: ready(office, queue) == 9, "the crashed worker's task is ready again")
    worked = []
    for count in range(1, 11):
        delivery = inboxes[0].wait(count)[-1]
        worked.append(delivery)
        inboxes[0].channel.basic_ack(delivery.tag)
    inboxes[0].settle(10)

    again = [delivery for delivery in worked if delivery.redelivered]
    check_equal([delivery.text for delivery in again], [lost.text], "tasks marked redelivered")
    rest = [delivery.text for delivery in worked if delivery.text not in (kept.text, lost.text)]
    check_equal(rest, [f"task-{number}" for number in range(2, 10)], "order of the tasks nobody had seen")
    check_equal(worked[1].text, lost.text, "the lost task returns to its place, ahead of later ones")
    check_equal(ready(office, queue), 0, "tasks left")
    office.queue_delete(queue)
    boss.close()
    steady.close()


def ready(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def crash(connection):
    """Ends the TCP connection as a killed process does: no AMQP good-bye."""
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)

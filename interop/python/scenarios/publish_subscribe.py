"""A fanout exchange copies each message to every subscriber's own server-named exclusive queue."""

from support import Inbox, check, check_equal, connect, unique


def run(url):
    exchange = unique("logs")
    publisher, first, second = connect(url), connect(url), connect(url)
    channel = publisher.channel()
    channel.exchange_declare(exchange, "fanout")
    channel.basic_publish(exchange, "nobody", b"before anyone listens")

    subscribers = [subscribe(connection, exchange) for connection in (first, second)]
    check(subscribers[0][0] != subscribers[1][0], "two server-named queues share a name")
    for number in range(50):
        channel.basic_publish(exchange, f"key-is-ignored-{number}", f"line-{number}".encode())

    expected = [f"line-{number}" for number in range(50)]
    for queue, inbox in subscribers:
        inbox.settle(50)
        check_equal(inbox.texts(), expected, f"lines in {queue}")
        delivery = inbox.deliveries[7]
        check_equal(delivery.method.exchange, exchange, "exchange of the delivery")
        check_equal(delivery.method.routing_key, "key-is-ignored-7", "routing key of the delivery")
        check_equal(delivery.method.consumer_tag, inbox.tag, "consumer tag of the delivery")

    first.close()
    channel.basic_publish(exchange, "", b"one left")
    check_equal(subscribers[1][1].settle(51)[-1].text, "one left", "after the first subscriber left")
    channel.exchange_delete(exchange)
    publisher.close()
    second.close()


def subscribe(connection, exchange):
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    check(queue.startswith("amq.gen-") and len(queue) == 30, f"server-named queue is called {queue!r}")
    channel.queue_bind(queue, exchange)
    return queue, Inbox(channel, queue, auto_ack=True)

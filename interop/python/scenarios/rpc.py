"""Remote procedure call over an exclusive reply queue, matched by correlation id."""

import pika

from support import Inbox, check_equal, connect, unique


def run(url):
    requests = unique("rpc")
    server, client = connect(url), connect(url)
    desk = server.channel()
    desk.queue_declare(requests)
    desk.basic_qos(prefetch_count=1)
    inbox = Inbox(desk, requests)

    channel = client.channel()
    reply_queue = channel.queue_declare("", exclusive=True).method.queue
    replies = Inbox(channel, reply_queue, auto_ack=True)
    for number in range(5):
        properties = pika.BasicProperties(reply_to=reply_queue, correlation_id=f"call-{number}")
        channel.basic_publish("", requests, str(number).encode(), properties)

    for count in range(1, 6):
        request = inbox.wait(count)[-1]
        answer = pika.BasicProperties(correlation_id=request.properties.correlation_id)
        # The reply queue is exclusive to the client; publishing to it is open to all.
        desk.basic_publish("", request.properties.reply_to, str(int(request.body) ** 2).encode(), answer)
        desk.basic_ack(request.tag)

    answers = [(reply.properties.correlation_id, reply.text) for reply in replies.settle(5)]
    check_equal(answers, [(f"call-{n}", str(n * n)) for n in range(5)], "answers")
    desk.queue_delete(requests)
    server.close()
    client.close()

"""Any program is a worker: `forebay work QUEUE --exec CMD` answers an HTTP caller, and an AMQP one."""

import pika

from support import Inbox, check_equal, connect, forebay, http, unique, wait_until


def run(url):
    queue = unique("shell")
    check_equal(http("PUT", f"/v1/queues/{queue}", {}).status, 201, "the task queue is made")
    with forebay("work", queue, "--exec", "tr a-z A-Z"):
        workers = lambda: http("GET", f"/v1/queues/{queue}").json()["consumers"] > 0
        wait_until(workers, "the worker asks for tasks")
        answer = http("POST", f"/v1/queues/{queue}/call", b"hello", {"Prefer": "wait=20"})
        check_equal((answer.status, answer.text), (200, "HELLO"), "answer over HTTP")

        connection = connect(url)
        channel = connection.channel()
        replies = Inbox(channel, "amq.rabbitmq.reply-to", auto_ack=True)
        properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="7")
        channel.basic_publish("", queue, b"world", properties)
        [reply] = replies.settle(1)
        check_equal((reply.text, reply.properties.correlation_id), ("WORLD", "7"), "answer over AMQP")
        connection.close()
    check_equal(http("DELETE", f"/v1/queues/{queue}").status, 204, "the queue is deleted")

"""An RPC worker that was written for RabbitMQ answers an HTTP caller, unchanged."""

import threading

import pika

from support import check_equal, connect, http, unique


class Worker(threading.Thread):
    """`rpc_server.py` of RabbitMQ's tutorial 6, line by line, but for the name of the queue and its end."""

    def __init__(self, url, queue):
        super().__init__(daemon=True)
        self.connection, self.queue = connect(url), queue

    def run(self):
        channel = self.connection.channel()

        channel.queue_declare(queue=self.queue)

        def fib(n):
            if n == 0:
                return 0
            elif n == 1:
                return 1
            else:
                return fib(n - 1) + fib(n - 2)

        def on_request(ch, method, props, body):
            n = int(body)

            print(f" [.] fib({n})")
            response = fib(n)

            ch.basic_publish(exchange='',
                             routing_key=props.reply_to,
                             properties=pika.BasicProperties(correlation_id=props.correlation_id),
                             body=str(response))
            ch.basic_ack(delivery_tag=method.delivery_tag)

        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue=self.queue, on_message_callback=on_request)

        print(" [x] Awaiting RPC requests")
        channel.start_consuming()


def run(url):
    queue = unique("rpc-http")
    check_equal(http("PUT", f"/v1/queues/{queue}", {}).status, 201, "the task queue is made")
    Worker(url, queue).start()
    for number, fibonacci in [(0, "0"), (10, "55"), (20, "6765")]:
        answer = http("POST", f"/v1/queues/{queue}/call", str(number).encode(), {"Prefer": "wait=20"})
        check_equal((answer.status, answer.text), (200, fibonacci), f"answer to {number}")
        kept = http("GET", f"/v1/tasks/{answer.headers['Task-Id']}/result")
        check_equal((kept.status, kept.text), (200, fibonacci), f"kept result of {number}")
    check_equal(http("DELETE", f"/v1/queues/{queue}").status, 204, "the queue is deleted")

"""A worker that speaks HTTP alone answers an RPC client that was written for RabbitMQ, unchanged."""

import base64
import threading
import uuid

import pika

from support import check_equal, connect, http, unique


class RpcClient:
    """`rpc_client.py` of RabbitMQ's tutorial 6, but for the name of the queue."""

    def __init__(self, url, queue):
        self.connection, self.queue = connect(url), queue
        self.channel = self.connection.channel()
        result = self.channel.queue_declare(queue='', exclusive=True)
        self.callback_queue = result.method.queue
        self.channel.basic_consume(queue=self.callback_queue,
                                   on_message_callback=self.on_response,
                                   auto_ack=True)
        self.response = None
        self.corr_id = None

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        self.channel.basic_publish(exchange='',
                                   routing_key=self.queue,
                                   properties=pika.BasicProperties(reply_to=self.callback_queue,
                                                                   correlation_id=self.corr_id),
                                   body=str(n))
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return int(self.response)


def work(queue, count):
    """Takes so many tasks, one by one, and squares what is in them."""
    for _ in range(count):
        taken = http("POST", f"/v1/queues/{queue}/leases", {"lease": "30s"}, {"Prefer": "wait=20"}).json()
        [lease] = taken["leases"]
        number = int(payload(lease["task"]))
        headers = {"Content-Type": "text/plain"}
        http("POST", f"/v1/leases/{lease['lease']}/complete", str(number * number).encode(), headers)


def payload(task):
    """What a client published that says nothing of its kind comes in base64."""
    return base64.b64decode(task["payload_base64"])


def run(url):
    queue = unique("http-worker")
    check_equal(http("PUT", f"/v1/queues/{queue}", {}).status, 201, "the task queue is made")
    worker = threading.Thread(target=work, args=(queue, 3), daemon=True)
    worker.start()
    client = RpcClient(url, queue)
    for number in [3, 4, 5]:
        check_equal(client.call(number), number * number, f"answer to {number}")
    worker.join()
    client.connection.close()
    check_equal(http("DELETE", f"/v1/queues/{queue}").status, 204, "the queue is deleted")

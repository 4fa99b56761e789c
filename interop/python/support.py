"""What every scenario needs: connections, unique names, an inbox, and checks whose messages can be read alone."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import pika
from pika.exceptions import ChannelClosedByBroker

PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Breach(AssertionError):
    """The broker did something that the scenario forbids."""


class Skipped(Exception):
    """The scenario cannot run in these surroundings."""


def connect(url, **overrides):
    """Opens a connection; `overrides` replace attributes of the URL's parameters (`heartbeat=2`)."""
    parameters = pika.URLParameters(url)
    for name, value in overrides.items():
        setattr(parameters, name, value)
    return pika.BlockingConnection(parameters)


def unique(noun):
    """A name that no other run uses, so that scenarios can share a broker with anybody."""
    return f"interop.{noun}.{uuid.uuid4().hex[:12]}"


def check(condition, message):
    if not condition:
        raise Breach(message)


def check_equal(actual, expected, what):
    check(actual == expected, f"{what}: expected {expected!r}, got {actual!r}")


class Delivery:
    """One message as a consumer saw it."""

    def __init__(self, method, properties, body):
        self.method, self.properties, self.body = method, properties, body
        self.tag, self.redelivered, self.text = method.delivery_tag, method.redelivered, None
        if len(body) < 1000:
            self.text = body.decode(errors="replace")

    def __repr__(self):
        return f"{self.text}{'(redelivered)' if self.redelivered else ''}"


class Inbox:
    """A consumer that keeps what it gets until somebody asks."""

    def __init__(self, channel, queue, **consume):
        self.channel, self.deliveries = channel, []
        self.tag = channel.basic_consume(queue, self._keep, **consume)

    def _keep(self, _channel, method, properties, body):
        self.deliveries.append(Delivery(method, properties, body))

    def wait(self, count, seconds=10):
        """Returns exactly `count` deliveries in total, or breaches once the time is over."""
        deadline = time.monotonic() + seconds
        while len(self.deliveries) < count and time.monotonic() < deadline:
            self.channel.connection.process_data_events(time_limit=0.05)
        check_equal(len(self.deliveries), count, f"deliveries within {seconds} s")
        return self.deliveries

    def settle(self, count, seconds=0.3):
        """As `wait`, then stays for a while to see that nothing more comes."""
        self.wait(count)
        self.channel.connection.process_data_events(time_limit=seconds)
        check_equal(len(self.deliveries), count, "deliveries in the end")
        return self.deliveries

    def texts(self):
        return [delivery.text for delivery in self.deliveries]


def wait_until(condition, what, seconds=10):
    """Polls `condition` until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def expect_channel_close(connection, code, text, ids, action):
    """Runs `action(channel)` on a channel of its own; the broker must close that channel, and only that channel,
    with this code and this whole text, and blame the method `ids` = (class, method)."""
    channel, closes = connection.channel(), []
    # pika keeps class and method to itself, so look at the frame.
    channel._impl.callbacks.add(channel.channel_number, pika.spec.Channel.Close, lambda f: closes.append(f.method))
    try:
        action(channel)
        deadline = time.monotonic() + 5
        while channel.is_open and time.monotonic() < deadline:
            connection.process_data_events(time_limit=0.05)
    except ChannelClosedByBroker:
        pass
    check(closes, f"the channel should have been closed with {code} {text!r}, but was not")
    close = closes[0]
    check_equal((close.reply_code, close.reply_text), (code, text), "channel.close")
    check_equal((close.class_id, close.method_id), ids, f"class and method of the channel.close {code} {text!r}")
    check(connection.is_open, f"the connection died of a channel error {code} {text!r}")


def restart_broker():
    """Asks whoever started this program to kill the broker and start it again on the same data and ports."""
    if os.environ.get("INTEROP_CAN_RESTART") != "1":
        raise Skipped("nobody here can restart this broker")
    print("@restart", flush=True)
    answer = sys.stdin.readline().strip()
    check_equal(answer, "restarted", "answer of the harness to @restart")


class Answer:
    """An answer over HTTP, whatever its status."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body, self.text = status, headers, body, body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)


def http_url():
    """Where the broker speaks HTTP."""
    url = os.environ.get("INTEROP_HTTP")
    if not url:
        raise Skipped("nobody here knows where this broker speaks HTTP, or whether it does")
    return url


def http(method, path, body=None, headers=None):
    """Asks as the default user. A body that is not bytes goes as JSON."""
    headers = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()} | (headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    elif body is not None:
        headers.setdefault("Content-Type", "application/octet-stream")
    request = urllib.request.Request(http_url() + path, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return Answer(answer.code, answer.headers, answer.read())


@contextlib.contextmanager
def forebay(*arguments):
    """Runs the `forebay` program beside the scenario, and stops it in the end."""
    program = os.environ.get("INTEROP_FOREBAY")
    if not program:
        raise Skipped("nobody here knows where the program `forebay` is")
    environment = os.environ | {"FOREBAY_HTTP": http_url()}
    process = subprocess.Popen([program, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)

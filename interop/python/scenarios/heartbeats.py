"""Heartbeats: an idle connection that answers them lives on; one that went silent loses its exclusive queue."""

import time

import pika

from support import check, check_equal, connect, unique


def run(url):
    queue = unique("silent")
    silent, watcher = connect(url, heartbeat=1), connect(url, heartbeat=1)
    silent.channel().queue_declare(queue, exclusive=True)

    deadline = time.monotonic() + 10
    gone_after = None
    begun = time.monotonic()
    # `silent` is not looked at any more, so nothing is sent on it; `watcher` beats while it waits.
    while gone_after is None and time.monotonic() < deadline:
        watcher.process_data_events(time_limit=0.3)
        if probe(watcher, queue) == 404:
            gone_after = time.monotonic() - begun
    check(gone_after is not None, "a connection silent for 10 s with a heartbeat of 1 s was never dropped")
    check(gone_after >= 1.0, f"a connection was dropped after {gone_after:.1f} s, within its heartbeat of 1 s")

    # Nothing but heartbeats for five intervals.
    watcher.process_data_events(time_limit=5)
    check(watcher.is_open, "an idle connection that beats was dropped")
    check_equal(probe(watcher, queue), 404, "a probe after the idle time")
    watcher.close()


def probe(connection, queue):
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as closed:
        return closed.reply_code
    return 200

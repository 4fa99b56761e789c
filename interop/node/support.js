// What every scenario needs: connections, unique names, an inbox, and checks whose messages can be read alone.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import amqp from 'amqplib';

/** The scenario cannot run in these surroundings. */
export class Skipped extends Error {}

/** Opens a connection. Errors of the connection are kept in `connection.failure` instead of ending the process. */
export async function connect(url, options = {}) {
  const connection = await amqp.connect(url, options);
  connection.on('error', (error) => {
    connection.failure = error;
  });
  return connection;
}

/** A channel whose error is kept in `channel.failure`. */
export async function open(connection, kind = 'createChannel') {
  const channel = await connection[kind]();
  channel.on('error', (error) => {
    channel.failure = error;
  });
  return channel;
}

/** A name that no other run uses, so that scenarios can share a broker with anybody. */
export function unique(noun) {
  return `interop.${noun}.${randomBytes(6).toString('hex')}`;
}

export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Polls `condition` until it is true. */
export async function waitUntil(condition, what, milliseconds = 10_000) {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not within ${milliseconds} ms: ${what}`);
    await sleep(10);
  }
}

/** A consumer that keeps what it gets until somebody asks. */
export class Inbox {
  static async on(channel, queue, options = {}) {
    const inbox = new Inbox();
    inbox.deliveries = [];
    inbox.cancelled = false;
    const consume = await channel.consume(
      queue,
      (message) => {
        if (message === null) inbox.cancelled = true;
        else inbox.deliveries.push(message);
      },
      options,
    );
    inbox.tag = consume.consumerTag;
    return inbox;
  }

  /** Returns exactly `count` deliveries in total, or fails once the time is over. */
  async wait(count, milliseconds = 10_000) {
    const deadline = Date.now() + milliseconds;
    while (this.deliveries.length < count && Date.now() < deadline) await sleep(5);
    assert.equal(this.deliveries.length, count, `deliveries within ${milliseconds} ms`);
    return this.deliveries;
  }

  /** As `wait`, then stays for a while to see that nothing more comes. */
  async settle(count, milliseconds = 300) {
    await this.wait(count);
    await sleep(milliseconds);
    assert.equal(this.deliveries.length, count, 'deliveries in the end');
    return this.deliveries;
  }

  texts() {
    return this.deliveries.map((delivery) => delivery.content.toString());
  }
}

/**
 * Runs `action(channel)` on a channel of its own; the broker must close that channel, and only that channel, with
 * this code and this whole text, and blame the method `ids` = [class, method].
 */
export async function expectChannelClose(connection, code, text, ids, action) {
  const channel = await open(connection);
  const closed = new Promise((resolve) => channel.once('close', resolve));
  // The call in flight is rejected too; what counts is what the broker said.
  await Promise.resolve(action(channel)).catch(() => {});
  await Promise.race([closed, sleep(5000)]);
  const failure = channel.failure;
  assert.ok(failure, `the channel should have been closed with ${code} "${text}", but was not`);
  assert.equal(failure.code, code, failure.message);
  assert.ok(failure.message.endsWith(`with message "${text}"`), `expected text ${text}, got ${failure.message}`);
  assert.deepEqual([failure.classId, failure.methodId], ids, `class and method of ${failure.message}`);
  assert.equal(connection.failure, undefined, 'the connection died of a channel error');
}

/** Asks whoever started this program to kill the broker and start it again on the same data and ports. */
export async function restartBroker() {
  if (process.env.INTEROP_CAN_RESTART !== '1') throw new Skipped('nobody here can restart this broker');
  const lines = createInterface({ input: process.stdin });
  console.log('@restart');
  const [answer] = await once(lines, 'line');
  assert.equal(answer, 'restarted', 'answer of the harness to @restart');
  lines.close();
}

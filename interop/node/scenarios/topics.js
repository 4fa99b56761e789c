// Topic exchange: `*` is exactly one word, `#` is zero or more, a message enters a queue once however many keys match.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique } from '../support.js';

const KEYS = ['', 'a', 'a.b', 'a.b.c', 'a..c', 'kern.critical', 'kern.', '.kern'];
const PATTERNS = {
  '#': KEYS,
  '*': ['a'],
  'a.*': ['a.b'],
  'a.#': ['a', 'a.b', 'a.b.c', 'a..c'],
  '*.*': ['a.b', 'kern.critical', 'kern.', '.kern'],
  'a.*.c': ['a.b.c', 'a..c'],
  '#.c': ['a.b.c', 'a..c'],
  '*.kern': ['.kern'],
};

export async function run(url) {
  const exchange = unique('topic');
  const connection = await connect(url);
  const channel = await open(connection);
  await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
  const inboxes = {};
  for (const pattern of Object.keys(PATTERNS)) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, pattern);
    inboxes[pattern] = await Inbox.on(channel, queue, { noAck: true });
  }
  for (const key of KEYS) channel.publish(exchange, key, Buffer.from(key));
  await inboxes['#'].settle(KEYS.length);
  for (const [pattern, expected] of Object.entries(PATTERNS)) {
    assert.deepEqual(inboxes[pattern].texts(), expected, `keys matched by ${pattern}`);
  }
  await connection.close();
}

// Headers exchange; amqplib writes small numbers in narrow types, so equal numbers of different widths must match.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique } from '../support.js';

const narrow = (value) => ({ '!': 'byte', value });
const wide = (value) => ({ '!': 'int64', value });

const BINDINGS = {
  all: { 'x-match': 'all', format: 'pdf', pages: 5 },
  any: { 'x-match': 'any', format: 'pdf', pages: wide(5) },
  'x counts': { 'x-match': 'all-with-x', 'x-secret': 'yes' },
  empty: {},
};
const MESSAGES = {
  narrow: [{ format: 'pdf', pages: narrow(5) }, ['all', 'any', 'empty']],
  wide: [{ format: 'txt', pages: wide(5) }, ['any', 'empty']],
  text: [{ pages: '5' }, ['empty']],
  secret: [{ 'x-secret': 'yes' }, ['x counts', 'empty']],
};

export async function run(url) {
  const exchange = unique('headers');
  const connection = await connect(url);
  const channel = await open(connection);
  await channel.assertExchange(exchange, 'headers', { durable: false, autoDelete: true });
  const inboxes = {};
  for (const [name, binding] of Object.entries(BINDINGS)) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, '', binding);
    inboxes[name] = await Inbox.on(channel, queue, { noAck: true });
  }
  for (const [name, [headers]] of Object.entries(MESSAGES)) {
    channel.publish(exchange, '', Buffer.from(name), { headers });
  }
  await inboxes.empty.settle(Object.keys(MESSAGES).length);
  for (const name of Object.keys(BINDINGS)) {
    const expected = Object.keys(MESSAGES).filter((message) => MESSAGES[message][1].includes(name));
    assert.deepEqual(inboxes[name].texts(), expected, `messages matched by ${name}`);
  }
  await connection.close();
}

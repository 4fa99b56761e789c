// A fanout exchange copies each message to every subscriber's own server-named exclusive queue.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique } from '../support.js';

export async function run(url) {
  const exchange = unique('logs');
  const connection = await connect(url);
  const channel = await open(connection);
  await channel.assertExchange(exchange, 'fanout', { durable: false });
  const subscribers = [];
  for (let number = 0; number < 3; number++) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    assert.match(queue, /^amq\.gen-[A-Za-z0-9_-]{22}$/);
    await channel.bindQueue(queue, exchange, '');
    subscribers.push(await Inbox.on(channel, queue, { noAck: true }));
  }
  const lines = Array.from({ length: 100 }, (_, number) => `line-${number}`);
  for (const line of lines) channel.publish(exchange, 'ignored', Buffer.from(line));
  for (const inbox of subscribers) {
    await inbox.settle(lines.length, 50);
    assert.deepEqual(inbox.texts(), lines);
    assert.equal(inbox.deliveries[3].fields.exchange, exchange);
    assert.equal(inbox.deliveries[3].fields.routingKey, 'ignored');
    assert.equal(inbox.deliveries[3].fields.consumerTag, inbox.tag);
  }
  await channel.deleteExchange(exchange);
  await connection.close();
}

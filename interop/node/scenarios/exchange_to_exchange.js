// Exchanges bound to exchanges: each queue gets one copy whatever the number of paths, and cycles end.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique } from '../support.js';

export async function run(url) {
  const [source, target] = [unique('source'), unique('target')];
  const connection = await connect(url);
  const channel = await open(connection);
  await channel.assertExchange(source, 'topic', { durable: false });
  await channel.assertExchange(target, 'fanout', { durable: false });
  await channel.bindExchange(target, source, 'a.#');
  await channel.bindExchange(source, target, '');
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, target, '');
  await channel.bindQueue(queue, source, '*.b');
  const inbox = await Inbox.on(channel, queue, { noAck: true });
  for (const key of ['a', 'a.b', 'c.b', 'none']) channel.publish(source, key, Buffer.from(key));
  await inbox.settle(3);
  assert.deepEqual(inbox.texts(), ['a', 'a.b', 'c.b']);
  await channel.unbindExchange(target, source, 'a.#');
  channel.publish(source, 'a', Buffer.from('gone'));
  channel.publish(source, 'x.b', Buffer.from('still'));
  await inbox.settle(4);
  assert.equal(inbox.texts()[3], 'still');
  await channel.deleteExchange(source);
  await channel.deleteExchange(target);
  await connection.close();
}

// basic.get: one message at a time with the count of what is left, an empty answer, and acks of what was got.

import assert from 'node:assert/strict';
import { connect, open } from '../support.js';

export async function run(url) {
  const connection = await connect(url);
  const channel = await open(connection, 'createConfirmChannel');
  const { queue } = await channel.assertQueue('', { exclusive: true });
  assert.equal(await channel.get(queue), false, 'get from an empty queue');
  for (const text of ['a', 'b', 'c']) channel.sendToQueue(queue, Buffer.from(text));
  await channel.waitForConfirms();

  const first = await channel.get(queue);
  const { messageCount, redelivered, exchange, routingKey, deliveryTag } = first.fields;
  assert.deepEqual([messageCount, redelivered, exchange, routingKey, deliveryTag], [2, false, '', queue, 1]);
  const second = await channel.get(queue, { noAck: true });
  assert.deepEqual([second.content.toString(), second.fields.messageCount], ['b', 1]);
  channel.nack(first);
  const again = await channel.get(queue);
  assert.deepEqual([again.content.toString(), again.fields.redelivered, again.fields.messageCount], ['a', true, 1]);
  const last = await channel.get(queue);
  assert.deepEqual([last.content.toString(), last.fields.messageCount], ['c', 0]);
  channel.ackAll();
  assert.equal(await channel.get(queue), false, 'get after everything was acked');
  await connection.close();
}

// A consumer whose queue is deleted hears basic.cancel (amqplib hands it null).

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique, waitUntil } from '../support.js';

export async function run(url) {
  const queue = unique('cancel');
  const connection = await connect(url);
  const [channel, admin] = [await open(connection), await open(connection)];
  await admin.assertQueue(queue, { durable: false });
  const inboxes = [await Inbox.on(channel, queue), await Inbox.on(channel, queue)];
  await admin.deleteQueue(queue);
  await waitUntil(() => inboxes.every((inbox) => inbox.cancelled), 'basic.cancel for both consumers');

  const { queue: own } = await channel.assertQueue('', { exclusive: true });
  const inbox = await Inbox.on(channel, own, { noAck: true });
  await channel.cancel(inbox.tag);
  await channel.cancel('never-heard-of'); // is answered like any other
  channel.sendToQueue(own, Buffer.from('x'));
  assert.equal((await channel.checkQueue(own)).consumerCount, 0);
  assert.equal(inbox.deliveries.length, 0, 'deliveries after the cancel');
  assert.equal(inbox.cancelled, false, "the broker must not echo the client's own cancel");
  await connection.close();
}

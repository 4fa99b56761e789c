// Prefetch per consumer, and per channel with `global`; an ack lets the next message come.

import assert from 'node:assert/strict';
import { Inbox, connect, open, sleep } from '../support.js';

export async function run(url) {
  const connection = await connect(url);
  const owner = await open(connection);
  const { queue } = await owner.assertQueue('', { exclusive: true });
  for (let number = 0; number < 30; number++) owner.sendToQueue(queue, Buffer.from(`${number}`));

  const channel = await open(connection);
  await channel.prefetch(3);
  const three = await Inbox.on(channel, queue);
  await channel.prefetch(5);
  const five = await Inbox.on(channel, queue);
  await three.settle(3);
  await five.settle(5);
  channel.ack(five.deliveries[0]);
  await five.settle(6);
  await three.settle(3);
  await channel.close();

  const shared = await open(connection);
  await shared.prefetch(4, true);
  const inboxes = [await Inbox.on(shared, queue), await Inbox.on(shared, queue)];
  const total = () => inboxes[0].deliveries.length + inboxes[1].deliveries.length;
  await sleep(300);
  assert.equal(total(), 4, 'deliveries on a channel with a global prefetch of 4');
  shared.ackAll();
  await sleep(300);
  assert.equal(total(), 8, 'deliveries after all were acked');
  await connection.close();
}

// Requeued messages return to their original position, whatever the order in which they come back.

import assert from 'node:assert/strict';
import { Inbox, connect, open } from '../support.js';

const EXPECTED = Array.from({ length: 10 }, (_, number) => `${number}`);

export async function run(url) {
  const connection = await connect(url);
  const owner = await open(connection, 'createConfirmChannel');
  const { queue } = await owner.assertQueue('', { exclusive: true });
  for (const text of EXPECTED) owner.sendToQueue(queue, Buffer.from(text));
  await owner.waitForConfirms();

  const ways = {
    'nack of all': (channel) => channel.nackAll(),
    'nack backwards': (channel, messages) => messages.reverse().forEach((message) => channel.nack(message)),
    'reject odd, then even': (channel, messages) =>
      [1, 3, 5, 0, 2, 4].forEach((index) => channel.reject(messages[index])),
    recover: (channel) => channel.recover(),
    'nothing, the channel closes': () => {},
  };
  for (const [way, requeue] of Object.entries(ways)) {
    const channel = await open(connection);
    const messages = [];
    for (let count = 0; count < 6; count++) messages.push(await channel.get(queue));
    await requeue(channel, messages);
    await channel.close();
    await checkOrder(connection, queue, way);
  }
  await connection.close();
}

async function checkOrder(connection, queue, way) {
  const channel = await open(connection);
  const inbox = await Inbox.on(channel, queue);
  await inbox.settle(EXPECTED.length, 30);
  assert.deepEqual(inbox.texts(), EXPECTED, `order after ${way}`);
  await channel.close();
}

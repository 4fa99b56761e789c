// Workers share tasks fairly; what a crashed worker had not acknowledged goes to another one, marked redelivered.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique, waitUntil } from '../support.js';

export async function run(url) {
  const queue = unique('work');
  const [boss, steady, doomed] = [await connect(url), await connect(url), await connect(url)];
  const office = await open(boss);
  await office.assertQueue(queue, { durable: true });
  const workers = [];
  for (const connection of [steady, doomed]) {
    const channel = await open(connection);
    await channel.prefetch(1);
    workers.push({ channel, inbox: await Inbox.on(channel, queue) });
  }
  for (let number = 0; number < 10; number++) {
    office.sendToQueue(queue, Buffer.from(`task-${number}`), { persistent: true });
  }

  // Prefetch 1: each worker holds one task, whatever the length of the queue.
  await workers[0].inbox.settle(1);
  await workers[1].inbox.settle(1);
  const [kept, lost] = workers.map(({ inbox }) => inbox.texts()[0]);
  assert.deepEqual([kept, lost].sort(), ['task-0', 'task-1']);

  doomed.connection.stream.destroy(); // as a killed process does: no AMQP good-bye
  await waitUntil(async () => (await office.checkQueue(queue)).messageCount === 9, "the crashed worker's task is back");
  const [{ channel, inbox }] = workers;
  for (let count = 1; count <= 10; count++) channel.ack((await inbox.wait(count))[count - 1]);
  await inbox.settle(10);
  const again = inbox.deliveries.filter(({ fields }) => fields.redelivered).map(({ content }) => content.toString());
  assert.deepEqual(again, [lost], 'tasks marked redelivered');
  const rest = Array.from({ length: 8 }, (_, number) => `task-${number + 2}`);
  assert.deepEqual(inbox.texts(), [kept, lost, ...rest], 'order of the work');
  await office.deleteQueue(queue);
  await boss.close();
  await steady.close();
}

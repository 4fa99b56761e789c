// An exclusive queue is locked for other connections (405) and gone when its connection is lost.

import { connect, expectChannelClose, open, unique, waitUntil } from '../support.js';

export async function run(url) {
  const queue = unique('exclusive');
  const [owner, other] = [await connect(url), await connect(url)];
  await (await open(owner)).assertQueue(queue, { exclusive: true });
  const locked = (
    `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally ` +
    'declared on another connection or the exclusive property value does not match that of the original declaration.'
  ).slice(0, 255);
  const tries = [
    [[50, 10], (channel) => channel.assertQueue(queue, { exclusive: true })],
    [[50, 10], (channel) => channel.checkQueue(queue)],
    [[60, 20], (channel) => channel.consume(queue, () => {})],
    [[60, 70], (channel) => channel.get(queue)],
    [[50, 40], (channel) => channel.deleteQueue(queue)],
  ];
  for (const [ids, action] of tries) await expectChannelClose(other, 405, locked, ids, action);

  owner.connection.stream.destroy();
  await waitUntil(async () => {
    const channel = await open(other);
    await channel.checkQueue(queue).catch(() => {});
    return channel.failure?.code === 404;
  }, 'the exclusive queue of a lost connection goes');
  await other.close();
}

// Many channels of one connection at once, with bodies of several frames: each keeps its own order and tags.

import assert from 'node:assert/strict';
import { Inbox, connect, open } from '../support.js';

const [CHANNELS, MESSAGES] = [30, 20];

export async function run(url) {
  const connection = await connect(`${url}?frameMax=4096`);
  const lanes = [];
  for (let number = 0; number < CHANNELS; number++) {
    const channel = await open(connection);
    const { queue } = await channel.assertQueue('', { exclusive: true });
    lanes.push({ channel, queue, inbox: await Inbox.on(channel, queue) });
  }
  for (let number = 0; number < MESSAGES; number++) {
    lanes.forEach(({ channel, queue }, lane) => channel.sendToQueue(queue, body(lane, number)));
  }
  for (const [lane, { channel, inbox }] of lanes.entries()) {
    await inbox.wait(MESSAGES);
    inbox.deliveries.forEach(({ content, fields }, number) => {
      assert.ok(content.equals(body(lane, number)), `message ${number} of channel ${lane}`);
      assert.equal(fields.deliveryTag, number + 1);
    });
    channel.ackAll();
  }
  await connection.close();
}

function body(lane, number) {
  return Buffer.alloc(1 + number * 1000, `${lane}/${number};`);
}

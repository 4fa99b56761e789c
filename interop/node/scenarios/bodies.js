// Bodies of every awkward size come back byte for byte: empty, one byte, around the frame limit, 10 MB.

import assert from 'node:assert/strict';
import { Inbox, connect, open } from '../support.js';

export async function run(url) {
  for (const frameMax of [4096, 131072]) {
    const payload = frameMax - 8;
    const sizes = [0, 1, payload - 1, payload, payload + 1, 2 * payload, 2 * payload + 1];
    if (frameMax === 131072) sizes.push(10 * 1024 * 1024);
    await roundTrip(url, frameMax, sizes);
  }
}

async function roundTrip(url, frameMax, sizes) {
  const connection = await connect(`${url}?frameMax=${frameMax}`);
  const channel = await open(connection);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const inbox = await Inbox.on(channel, queue, { noAck: true });
  const properties = { contentType: 'application/octet-stream', headers: { deep: { list: [1, 'two', 2.5] } } };
  for (const size of sizes) channel.sendToQueue(queue, bodyOf(size), { ...properties, messageId: `${size}` });
  await inbox.settle(sizes.length, 50);
  sizes.forEach((size, index) => {
    const { content, properties: received } = inbox.deliveries[index];
    assert.equal(content.length, size, `size with frame_max ${frameMax}`);
    assert.ok(content.equals(bodyOf(size)), `body of ${size} bytes changed on its way`);
    assert.equal(received.messageId, `${size}`);
    assert.equal(received.contentType, properties.contentType);
    assert.deepEqual(received.headers, properties.headers);
    assert.equal(received.priority, undefined, 'an absent property stays absent');
  });
  await connection.close();
}

/** Not periodic in any frame size, so that swapped or repeated frames show. */
function bodyOf(size) {
  const body = Buffer.alloc(size + 4);
  for (let at = 0; at < size; at += 4) body.writeUInt32BE(at, at);
  return body.subarray(0, size);
}

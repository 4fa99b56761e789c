// Remote procedure call over an exclusive reply queue, matched by correlation id.

import assert from 'node:assert/strict';
import { Inbox, connect, open, unique } from '../support.js';

export async function run(url) {
  const requests = unique('rpc');
  const [server, client] = [await connect(url), await connect(url)];
  const desk = await open(server);
  await desk.assertQueue(requests, { durable: false });
  await desk.prefetch(1);
  await desk.consume(requests, (request) => {
    if (request === null) return; // the queue is deleted in the end
    const answer = Buffer.from(`${Number(request.content) ** 2}`);
    desk.sendToQueue(request.properties.replyTo, answer, { correlationId: request.properties.correlationId });
    desk.ack(request);
  });
  const channel = await open(client);
  const { queue: replyTo } = await channel.assertQueue('', { exclusive: true });
  const replies = await Inbox.on(channel, replyTo, { noAck: true });
  for (let number = 0; number < 20; number++) {
    channel.sendToQueue(requests, Buffer.from(`${number}`), { correlationId: `call-${number}`, replyTo });
  }
  await replies.settle(20);
  replies.deliveries.forEach((reply, number) => {
    assert.equal(reply.properties.correlationId, `call-${number}`);
    assert.equal(reply.content.toString(), `${number * number}`);
  });
  await desk.deleteQueue(requests);
  await server.close();
  await client.close();
}

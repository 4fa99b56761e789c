// Remote procedure call over `amq.rabbitmq.reply-to`: no reply queue at all.

import assert from 'node:assert/strict';
import { Inbox, connect, expectChannelClose, open, unique } from '../support.js';

const REPLY_TO = 'amq.rabbitmq.reply-to';

export async function run(url) {
  const requests = unique('direct-rpc');
  const [server, client] = [await connect(url), await connect(url)];
  const desk = await open(server);
  await desk.assertQueue(requests, { durable: false });
  const inbox = await Inbox.on(desk, requests, { noAck: true });
  const channel = await open(client);
  const replies = await Inbox.on(channel, REPLY_TO, { noAck: true });
  for (let number = 0; number < 3; number++) {
    channel.sendToQueue(requests, Buffer.from(`${number}`), { replyTo: REPLY_TO, headers: { number } });
  }
  await inbox.wait(3);
  for (const request of inbox.deliveries) {
    assert.match(request.properties.replyTo, /^amq\.rabbitmq\.reply-to\../);
    assert.equal(`${request.properties.headers.number}`, request.content.toString());
    desk.sendToQueue(request.properties.replyTo, Buffer.from(`re ${request.content}`));
  }
  await replies.settle(3);
  assert.deepEqual(replies.texts(), ['re 0', 're 1', 're 2']);
  await expectChannelClose(client, 406, 'PRECONDITION_FAILED - reply consumer already set', [60, 20], async (other) => {
    await other.consume(REPLY_TO, () => {}, { noAck: true });
    await other.consume(REPLY_TO, () => {}, { noAck: true });
  });
  await desk.deleteQueue(requests);
  await client.close();
  await server.close();
}

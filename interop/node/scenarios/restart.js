// A killed and restarted broker has every confirmed persistent message of durable queues, in order, and nothing else.

import assert from 'node:assert/strict';
import { Inbox, connect, open, restartBroker, unique } from '../support.js';

export async function run(url) {
  const [queue, exchange] = [unique('durable'), unique('durable-exchange')];
  const before = await open(await connect(url), 'createConfirmChannel');
  await before.assertExchange(exchange, 'headers', { durable: true });
  await before.assertQueue(queue, { durable: true });
  await before.bindQueue(queue, exchange, '', { 'x-match': 'any', keep: true });
  for (let number = 0; number < 200; number++) {
    const options = { persistent: number % 10 !== 0, headers: { keep: true, number } };
    before.publish(exchange, `key-${number}`, Buffer.alloc(number * 10, number), options);
  }
  await before.waitForConfirms();

  await restartBroker();

  const connection = await connect(url);
  const channel = await open(connection);
  const inbox = await Inbox.on(channel, queue);
  const expected = Array.from({ length: 200 }, (_, number) => number).filter((number) => number % 10 !== 0);
  await inbox.settle(expected.length);
  inbox.deliveries.forEach((delivery, index) => {
    const number = expected[index];
    assert.equal(delivery.properties.headers.number, number, 'order after the restart');
    assert.equal(delivery.fields.routingKey, `key-${number}`);
    assert.ok(delivery.content.equals(Buffer.alloc(number * 10, number)), `body of message ${number}`);
  });
  channel.ackAll();
  await channel.close();
  const admin = await open(connection);
  assert.equal((await admin.deleteQueue(queue)).messageCount, 0, 'messages left after ack of all');
  await admin.deleteExchange(exchange);
  await connection.close();
}

// Publisher confirms through amqplib's confirm channel: thousands in flight, returns before their confirms.

import assert from 'node:assert/strict';
import { connect, open, unique } from '../support.js';

const COUNT = 3000;

export async function run(url) {
  const connection = await connect(url);
  const channel = await open(connection, 'createConfirmChannel');
  const queue = unique('confirms');
  await channel.assertQueue(queue, { durable: true });
  const events = [];
  channel.on('return', ({ content, fields }) => {
    assert.deepEqual([fields.replyCode, fields.replyText, fields.exchange], [312, 'NO_ROUTE', '']);
    events.push(`returned ${content}`);
  });

  for (let number = 1; number <= COUNT; number++) {
    const key = number % 500 === 0 ? unique('missing') : queue;
    channel.sendToQueue(key, Buffer.from(`${number}`), { persistent: true, mandatory: true }, (error) => {
      assert.equal(error, null, `message ${number} was not acknowledged`);
      events.push(`confirmed ${number}`);
    });
  }
  await channel.waitForConfirms();

  const confirmed = events.filter((event) => event.startsWith('confirmed'));
  assert.equal(new Set(confirmed).size, COUNT, 'different messages confirmed');
  assert.equal(confirmed.length, COUNT, 'confirms');
  for (let number = 500; number <= COUNT; number += 500) {
    const returned = events.indexOf(`returned ${number}`);
    assert.ok(returned >= 0, `message ${number} was never returned`);
    assert.ok(returned < events.indexOf(`confirmed ${number}`), `message ${number} was confirmed before its return`);
  }
  const { messageCount } = await channel.deleteQueue(queue);
  assert.equal(messageCount, COUNT - COUNT / 500, 'messages in the queue');
  await connection.close();
}

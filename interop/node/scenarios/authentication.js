// Wrong credentials are refused with 403 and RabbitMQ's text; a missing virtual host is refused too.

import assert from 'node:assert/strict';
import { connect, unique } from '../support.js';

export async function run(url) {
  const wrong = new URL(url);
  wrong.password = 'wrong';
  await assert.rejects(connect(wrong.href), (error) => {
    const text =
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.';
    assert.ok(error.message.includes('403') && error.message.includes(text), error.message);
    return true;
  });
  const elsewhere = new URL(url);
  elsewhere.pathname = `/${unique('vhost')}`;
  // amqplib does not show the broker's code and text here; the scenario of the same name for pika checks them.
  await assert.rejects(connect(elsewhere.href));
  const connection = await connect(url);
  const { capabilities, version } = connection.connection.serverProperties;
  assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.equal(capabilities['basic.nack'], true);
  assert.equal(capabilities.publisher_confirms, true);
  await connection.close();
}

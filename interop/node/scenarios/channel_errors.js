// Channel errors: RabbitMQ's code, its whole text and the ids of the method at fault; the connection lives on.

import { connect, expectChannelClose, open, unique } from '../support.js';

export async function run(url) {
  const connection = await connect(url);
  const owner = await open(connection);
  const [queue, exchange, missing] = [unique('errors'), unique('errors-exchange'), unique('missing')];
  await owner.assertQueue(queue, { durable: true, messageTtl: 60_000 });
  await owner.assertExchange(exchange, 'topic', { durable: true, internal: true });
  for (const [code, text, ids, action] of cases(queue, exchange, missing)) {
    await expectChannelClose(connection, code, text, ids, action);
  }
  await owner.deleteQueue(queue);
  await owner.deleteExchange(exchange);
  await connection.close();
}

function cases(queue, exchange, missing) {
  const noQueue = `NOT_FOUND - no queue '${missing}' in vhost '/'`;
  const noExchange = `NOT_FOUND - no exchange '${missing}' in vhost '/'`;
  const at = `for queue '${queue}' in vhost '/'`;
  const { assign } = Object;
  return [
    [404, noQueue, [50, 10], (c) => c.checkQueue(missing)],
    [404, noExchange, [40, 10], (c) => c.checkExchange(missing)],
    [404, noQueue, [60, 20], (c) => c.consume(missing, () => {})],
    [404, noExchange, [60, 40], (c) => c.publish(missing, '', Buffer.from('x'))],
    [
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' ${at}: received '5000' but current is '60000'`,
      [50, 10],
      (c) => c.assertQueue(queue, { durable: true, messageTtl: 5000 }),
    ],
    [
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' ${at}: received none but current is the value '60000' of type 'signedint'`,
      [50, 10],
      (c) => c.assertQueue(queue, { durable: true }),
    ],
    [
      403,
      `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
      [60, 40],
      (c) => c.publish(exchange, '', Buffer.from('x')),
    ],
    [
      406,
      `PRECONDITION_FAILED - inequivalent arg 'internal' for exchange '${exchange}' in vhost '/': received 'false' but current is 'true'`,
      [40, 10],
      (c) => c.assertExchange(exchange, 'topic', { durable: true }),
    ],
    [
      406,
      'PRECONDITION_FAILED - unknown delivery tag 99',
      [60, 80],
      (c) => c.ack({ fields: assign({}, { deliveryTag: 99 }) }),
    ],
  ];
}

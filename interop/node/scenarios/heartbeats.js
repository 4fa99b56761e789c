// Heartbeats: an idle connection of one second's heartbeat is alive after several intervals, both ways.

import assert from 'node:assert/strict';
import { connect, open, sleep } from '../support.js';

export async function run(url) {
  const connection = await connect(url, {});
  const beating = await connect(`${url}?heartbeat=1`);
  let bytesBefore = beating.connection.stream.bytesRead;
  for (let second = 0; second < 4; second++) {
    await sleep(1100);
    const bytesNow = beating.connection.stream.bytesRead;
    assert.ok(bytesNow > bytesBefore, 'the broker was silent for a whole heartbeat interval');
    bytesBefore = bytesNow;
  }
  assert.equal(beating.failure, undefined);
  const { queue } = await (await open(beating)).assertQueue('', { exclusive: true });
  assert.ok(queue);
  await beating.close();
  await connection.close();
}

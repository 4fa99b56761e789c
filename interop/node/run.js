// Runs one scenario with amqplib: `node run.js SCENARIO URL`, or names them all: `node run.js --list`.
//
// Exit codes: 0 held, 1 breached, 77 skipped (the broker cannot be restarted from here).

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Skipped } from './support.js';

const names = readdirSync(fileURLToPath(new URL('scenarios', import.meta.url)))
  .filter((file) => file.endsWith('.js'))
  .map((file) => file.slice(0, -3))
  .sort();

const [name, url] = process.argv.slice(2);
if (name === '--list') {
  console.log(names.join('\n'));
} else if (!names.includes(name) || !url) {
  console.error(`usage: run.js SCENARIO URL, with SCENARIO one of: ${names.join(', ')}`);
  process.exitCode = 2;
} else {
  const { run } = await import(`./scenarios/${name}.js`);
  process.exit(await outcome(run));
}

async function outcome(run) {
  try {
    await run(url);
    return 0;
  } catch (error) {
    if (error instanceof Skipped) {
      console.error(`skipped: ${error.message}`);
      return 77;
    }
    console.error('breach:', error);
    return 1;
  }
}

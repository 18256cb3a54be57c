/**
 * `npm run test:backends`: the end-to-end suites of test/ that start a service, on each backend: PostgreSQL alone, Redis beside it, and files
 * in a bucket. One line for each suite and backend, with the output of those that fail. `npm run test:backends -- [--backend NAME] <part of a
 * name> …` runs some of them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { main, root, setUp } from './setup.mjs';
import { compiledTestFiles } from './test-files.mjs';

/** What the service of a test runs on, as test/support/stack.ts reads it. */
const BACKENDS = {
  postgres: { TRITFORGE_TEST_QUEUE: 'postgres', TRITFORGE_TEST_STORAGE: 'folder' },
  redis: { TRITFORGE_TEST_QUEUE: 'redis', TRITFORGE_TEST_STORAGE: 'folder' },
  s3: { TRITFORGE_TEST_QUEUE: 'postgres', TRITFORGE_TEST_STORAGE: 's3' },
};
const NAME_WIDTH = Math.max(...Object.keys(BACKENDS).map((name) => name.length));
const SUITE_WIDTH = 20;

/** Suites that start a service, which other backends change. */
function suites(wanted) {
  const startsService = (file) => {
    const source = path.join(root, file.replace('test/dist/', 'test/').replace(/\.js$/, '.ts'));
    return readFileSync(source, 'utf8').includes('startStack(');
  };
  return compiledTestFiles()
    .filter((file) => file.startsWith('test/') && startsService(file))
    .filter((file) => wanted.length === 0 || wanted.some((part) => path.basename(file).includes(part)));
}

/** Why a backend cannot be had here; null where it can. */
function missing(backend) {
  if (backend !== 'redis') return null;
  const { status, stderr } = spawnSync(process.execPath, ['scripts/fetch-redis.mjs'], { cwd: root, encoding: 'utf8' });
  return status === 0 ? null : stderr.trim();
}

/** Runs a suite and prints its line. Returns whether it passed. */
function run(backend, file) {
  const startedMs = Date.now();
  const options = ['--enable-source-maps', '--test', '--test-reporter=spec'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...options, file], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...BACKENDS[backend] },
    maxBuffer: 2 ** 28,
  });
  const count = (name) => Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
  const [passed, failed, skipped] = ['pass', 'fail', 'skipped'].map(count);
  // A suite that ran no test has shown nothing.
  const isOk = status === 0 && passed > 0;
  print(backend, path.basename(file, '.test.js'), isOk ? 'ok' : 'FAILED', [
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    `${((Date.now() - startedMs) / 1000).toFixed(1)} s`,
  ]);
  if (!isOk) process.stdout.write(`${stdout}${stderr}\n`);
  return isOk;
}

function print(backend, suite, verdict, details) {
  process.stdout.write(
    `${backend.padEnd(NAME_WIDTH)}  ${suite.padEnd(SUITE_WIDTH)}  ${verdict.padEnd(6)}  ${details.join(', ')}\n`,
  );
}

await main(() => {
  const { values, positionals } = parseArgs({ options: { backend: { type: 'string' } }, allowPositionals: true });
  const names = Object.keys(BACKENDS);
  const { backend: only } = values;
  if (only !== undefined && !names.includes(only)) {
    throw new Error(`There is no backend ${only}; there are ${names.join(', ')}.`);
  }
  setUp();
  const files = suites(positionals);
  if (files.length === 0) throw new Error(`No suite matches ${positionals.join(', ')}.`);
  let failures = 0;
  for (const backend of names.filter((name) => only === undefined || name === only)) {
    const reason = missing(backend);
    if (reason === null) failures += files.filter((file) => !run(backend, file)).length;
    else {
      print(backend, 'all', 'FAILED', [reason]);
      failures += files.length;
    }
  }
  if (failures > 0) throw new Error(`${failures} of the suites failed.`);
});

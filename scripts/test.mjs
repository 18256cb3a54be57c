/**
 * `npm test`: types, lint, unused code, then every test. `npm test -- <part of a path>` runs only the tests whose file
 * matches.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { main, root, setUp } from './setup.mjs';
import { compiledTestFiles } from './test-files.mjs';

function step(title, args) {
  const startedMs = Date.now();
  process.stdout.write(`\n== ${title}\n`);
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  process.stdout.write(
    `== ${title}: ${status === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`,
  );
  if (status !== 0) throw new Error(`${title} failed (${signal ?? `exit code ${status}`}).`);
}

await main(() => {
  const wanted = process.argv.slice(2);
  process.stdout.write('== Set up: dependencies, native addon, database client, types\n');
  setUp();
  const files = compiledTestFiles().filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
  if (files.length === 0) throw new Error(`No test file matches ${wanted.join(', ')}.`);
  if (wanted.length === 0) {
    step('Lint, format and import rules (Biome)', [
      'node_modules/@biomejs/biome/bin/biome',
      'ci',
      '--error-on-warnings',
      '.',
    ]);
    step('Unused files, exports and dependencies (knip)', ['node_modules/knip/bin/knip.js']);
  }
  // Many tests wait for other processes: with one file at a time, which Node takes on two cores, a core would do nothing.
  const concurrency = Math.max(2, availableParallelism() - 1);
  const options = ['--enable-source-maps', '--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`];
  step('Tests', [...options, ...files]);
});

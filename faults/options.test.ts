import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf, pageNameOf, readOptions } from './options.js';

test('a campaign has 200 rounds on PostgreSQL and a folder unless told', () => {
  assert.deepEqual(readOptions([]), {
    seed: 1,
    rounds: 200,
    round: null,
    storage: 'folder',
    queue: 'postgres',
    only: null,
    write: false,
  });
});

test('what cannot be is named with what can', () => {
  const cases: [args: string[], message: RegExp][] = [
    [['--rounds', '0'], /--rounds is 0; it takes an integer from 1/],
    [['--seed', '1.5'], /--seed is 1\.5/],
    [['--round', 'x'], /--round is x/],
    [['--storage', 'tape'], /--storage is tape; it takes folder, s3/],
    [['--queue', 'kafka'], /--queue is kafka; it takes postgres, redis/],
    [['--only', 'kill'], /--only is kill; it takes kill-api, /],
    [['--fast'], /--fast/],
  ];
  for (const [args, message] of cases) assert.throws(() => readOptions(args), message);
});

test('the command of a campaign, and of one round, says all that differs', () => {
  const plain = readOptions(['--rounds', '50', '--seed', '3', '--write']);
  assert.equal(commandOf(plain), 'npm run faults -- --rounds 50 --seed 3');
  const other = readOptions(['--storage', 's3', '--queue', 'redis', '--only', 'kill-api']);
  const command = commandOf(other, 17);
  assert.equal(command, 'npm run faults -- --round 17 --seed 1 --storage s3 --queue redis --only kill-api');
  assert.equal(readOptions(command.split(' ').slice(4)).round, 17);
});

test('every pair of backends has a page of its own', () => {
  const pages = [[], ['--queue', 'redis'], ['--storage', 's3'], ['--storage', 's3', '--queue', 'redis']];
  const names = pages.map((args) => pageNameOf(readOptions(args)));
  assert.deepEqual(names, ['faults.md', 'faults-redis.md', 'faults-s3.md', 'faults-redis-s3.md']);
});

import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { appendRow, isSame, newestRows, readRows } from './rows.js';
import { sampleRow } from './sample-row.js';

async function rowsFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tritforge-rows-'));
  t.after(() => rm(folder, { recursive: true }));
  return path.join(folder, 'rows.jsonl');
}

test('there are no rows before the first one is appended', async (t) => {
  assert.deepEqual(await readRows(await rowsFile(t)), []);
});

test('a row that was cut off counts as not measured, and the next one stands on a line of its own', async (t) => {
  const file = await rowsFile(t);
  const [first, last] = [sampleRow({ column: 'paper' }), sampleRow({ column: 'int8', groupSize: null })];
  await appendRow(file, first);
  await appendFile(file, JSON.stringify(sampleRow({})).slice(0, 50));
  assert.deepEqual(await readRows(file), [first]);
  await appendRow(file, last);
  assert.deepEqual(await readRows(file), [first, last]);
  assert.equal((await readFile(file, 'utf8')).split('\n').length, 4);
});

test('a row stands only for the same model, recipe, code and data', () => {
  const row = sampleRow({});
  assert.ok(isSame(row, sampleRow({ column: 'under another name', commit: 'other', jobSeconds: 9 })));
  assert.ok(!isSame(row, sampleRow({ model: 'other' })));
  assert.ok(!isSame(row, sampleRow({ recipe: { weights: { groupSize: 4 } } })));
  assert.ok(!isSame(row, sampleRow({ code: 'other' })));
  assert.ok(!isSame(row, sampleRow({ data: 'other' })));
});

test('of rows of one variant the newest counts, and other variants and models stay', () => {
  const [old, young] = [sampleRow({ code: 'old' }), sampleRow({ code: 'young' })];
  const others = [sampleRow({ groupSize: 4 }), sampleRow({ column: 'paper' }), sampleRow({ model: 'other' })];
  assert.deepEqual(newestRows([old, ...others, young]), [young, ...others]);
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { CheckpointFile, identityOf } from './checkpoint.js';

interface Notes {
  readonly epoch: number;
  readonly curve: readonly number[];
}

const STATE = {
  vectors: new Map([
    ['parameters', Float32Array.of(1.5, -0, Number.NaN, 1e-42)],
    ['empty', new Float32Array(0)],
    ['moment', Float32Array.of(0.1, 3).subarray(1)],
  ]),
  notes: { epoch: 3, curve: [0.1, 1 / 3] },
};

test('a state comes back bit by bit, for whoever knows path and identity', async (t) => {
  const path = join(temporaryFolder(t), 'é.training');
  await new CheckpointFile<Notes>(path, 'a').write(STATE);
  assert.deepEqual(await new CheckpointFile<Notes>(path, 'a').read(), STATE);
});

test('a later state takes the place of the one before and leaves no other file', async (t) => {
  const folder = temporaryFolder(t);
  const file = new CheckpointFile<Notes>(join(folder, 'state'), 'a');
  assert.equal(await file.read(), null);
  await file.write(STATE);
  const later = { vectors: new Map(), notes: { epoch: 4, curve: [] } };
  await file.write(later);
  assert.deepEqual(await file.read(), later);
  assert.deepEqual(readdirSync(folder), ['state']);
  await file.remove();
  await file.remove();
  assert.deepEqual(readdirSync(folder), []);
});

test('a state of other options is refused, and so is a file with a changed bit, cut short, or of another kind', async (t) => {
  const path = join(temporaryFolder(t), 'state');
  const file = new CheckpointFile<Notes>(path, 'a');
  await file.write(STATE);
  await assert.rejects(new CheckpointFile<Notes>(path, 'b').read(), {
    code: 'RECIPE_INVALID',
    message: /other options or other data/,
  });
  const bytes = readFileSync(path);
  const changed = bytes.map((byte, i) => (i === bytes.length - 40 ? byte ^ 1 : byte));
  for (const other of [changed, bytes.subarray(0, -1), Buffer.from('an image'), Buffer.alloc(0)]) {
    writeFileSync(path, other);
    await assert.rejects(file.read(), { code: 'RECIPE_INVALID', message: /is damaged, or is none/ });
    assert.deepEqual(readFileSync(path), Buffer.from(other), 'what is no checkpoint is left alone');
  }
});

test('the identity is another for other options', () => {
  assert.equal(identityOf({ a: 1, b: [2] }), identityOf({ a: 1, b: [2] }));
  assert.notEqual(identityOf({ a: 1, b: [2] }), identityOf({ a: 1, b: [3] }));
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { floats } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { SampleReader, storeSamples } from './sample-store.js';

async function* runs(count: number, width = 3) {
  for (let i = 0; i < count; i++) {
    const tokens = { dtype: 'int64' as const, shape: [1, 2], data: BigInt64Array.of(BigInt(i), -1n) };
    yield {
      feeds: new Map([
        [
          'x',
          floats(
            [1, width],
            Array.from({ length: width }, (_, j) => i + j / 10),
          ),
        ],
        ['ids', tokens],
      ]),
    };
  }
}

test('batches have the records that were asked for, in that order, of every input', async (t) => {
  const path = join(temporaryFolder(t), 'samples');
  const store = await storeSamples(runs(5), path);
  assert.equal(store.records, 5);
  const reader = new SampleReader(store);
  const batch = reader.read([4, 0, 4]);
  reader.close();
  assert.deepEqual(batch.get('x'), floats([3, 3], [4, 4.1, 4.2, 0, 0.1, 0.2, 4, 4.1, 4.2]));
  assert.deepEqual(batch.get('ids')!.data, BigInt64Array.of(4n, -1n, 0n, -1n, 4n, -1n));
});

test('samples of different shapes are refused, and so is a dataset without samples', async (t) => {
  const folder = temporaryFolder(t);
  const mixed = async function* () {
    yield* runs(1);
    yield* runs(1, 4);
  };
  await assert.rejects(storeSamples(mixed(), join(folder, 'mixed')), {
    code: 'DATASET_SHAPE_MISMATCH',
    message: /x have shapes \[1,3\] and \[1,4\]/,
  });
  await assert.rejects(storeSamples(runs(0), join(folder, 'none')), { code: 'DATASET_EMPTY' });
});

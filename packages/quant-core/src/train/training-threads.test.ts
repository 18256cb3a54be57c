import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeModel } from '../onnx/index.js';
import { floats } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { storeSamples } from './sample-store.js';
import { TrainingThreads } from './training-threads.js';

const NAMES = { parameters: 'P', loss: 'loss', gradient: 'G' };

/** loss = Σ x · P₀,  G = P + Σ x, of records x = 0, 1, …; a further graph puts out x + P₁. */
async function threadsOf(t: TestContext, change: { training?: string; samples?: string } = {}) {
  const folder = temporaryFolder(t);
  const write = async (name: string, parameters: number, output: string, nodes: TinyNode[]) => {
    const path = join(folder, `${name}.onnx`);
    const inputs = [
      ['x', 'float32', ['N', 1]],
      ['P', 'float32', [parameters]],
    ] as const;
    const outputs = [output, ...(name === 'training' ? ['G'] : [])].map((y) => [y, 'float32', null] as const);
    await writeModel(tinyModel({ inputs, outputs, nodes }), path);
    return path;
  };
  const sum: TinyNode = { op: 'ReduceSum', inputs: ['x'], outputs: ['s'] };
  const flat: TinyNode = { op: 'ReduceMax', inputs: ['P'], outputs: ['p'] };
  const training = await write('training', 1, 'loss', [
    sum,
    flat,
    { op: 'Mul', inputs: ['s', 'p'], outputs: ['loss'] },
    { op: 'Add', inputs: ['P', 's'], outputs: ['g'] },
    { op: 'Flatten', inputs: ['g'], outputs: ['G'] },
  ]);
  const further = await write('further', 2, 'y', [flat, { op: 'Add', inputs: ['x', 'p'], outputs: ['y'] }]);
  async function* records() {
    for (let i = 0; i < 6; i++) yield { feeds: new Map([['x', floats([1, 1], [i])]]) };
  }
  const store = await storeSamples(records(), join(folder, 'samples'));
  const threads = new TrainingThreads(
    {
      trainingGraph: change.training ?? training,
      lossGraph: null,
      vectorGraphs: new Map([['further', { path: further, output: 'y', parameters: 'P' }]]),
      teacher: null,
      store: { ...store, path: change.samples ?? store.path },
      names: NAMES,
      augmentation: null,
    },
    2,
    2,
    1,
  );
  t.after(() => threads.close());
  return threads;
}

test('gradients of the parts are averaged, and every graph takes as many parameters as it has', async (t) => {
  const threads = await threadsOf(t);
  threads.parameters.set([10, 100]);
  const loss = await threads.step(
    [
      [0, 1],
      [4, 5],
    ],
    0,
  );
  assert.equal(loss, (10 * 1 + 10 * 9) / 2);
  assert.deepEqual([...threads.gradient], [(11 + 19) / 2]);
  const vectors: number[][] = [];
  for await (const vector of threads.vectors('further', [[0], [1, 2], [5]])) vectors.push([...vector]);
  assert.deepEqual(vectors, [[100], [101, 102], [105]]);
});

test('what a thread cannot load or read is an error of the step, and the threads end', async (t) => {
  const broken = await threadsOf(t, { training: '/nowhere/training.onnx' });
  await assert.rejects(broken.step([[0], [1]], 0), { code: 'MODEL_RUN_FAILED' });
  await broken.close();
  const blind = await threadsOf(t, { samples: '/nowhere/samples' });
  await assert.rejects(blind.step([[0], [1]], 0), /ENOENT|ended before it had answered/);
  await blind.close();
});

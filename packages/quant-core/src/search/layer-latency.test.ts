import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { type ArtifactProfile, resolveRecipe } from '@tritforge/contracts';
import { intsValue, intValue } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Runtime } from '../runtime/runtime.js';
import { floats } from '../testing/memory-dataset.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { measureLayerLatencies } from './layer-latency.js';
import { findUnits } from './precisions.js';

/** Two convolutions that are alike, a grouped one, and products with the weight on either side, one of them used twice. */
function model() {
  const conv = { pads: intsValue([1, 1, 1, 1]) };
  return tinyModel({
    inputs: [['x', 'float32', ['N', 8, 'H', 'W']]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', name: 'a', inputs: ['x', 'wa'], outputs: ['ha'], attributes: conv },
      { op: 'Conv', name: 'b', inputs: ['ha', 'wb'], outputs: ['hb'], attributes: conv },
      { op: 'Conv', name: 'c', inputs: ['hb', 'wc'], outputs: ['hc'], attributes: { ...conv, group: intValue(2) } },
      { op: 'MatMul', name: 'd', inputs: ['hc', 'wd'], outputs: ['hd'] },
      { op: 'MatMul', name: 'e', inputs: ['hd', 'wd'], outputs: ['he'] },
      { op: 'MatMul', name: 'f', inputs: ['wf', 'he'], outputs: ['y'] },
    ],
    constants: {
      wa: randomTensor([8, 8, 3, 3], 1),
      wb: randomTensor([8, 8, 3, 3], 2),
      wc: randomTensor([8, 4, 3, 3], 4),
      wd: randomTensor([6, 6], 5),
      wf: randomTensor([5, 4], 6),
    },
  });
}

async function measure(t: TestContext, profile: ArtifactProfile, bits: 8 | null) {
  const loaded: string[] = [];
  const stock = createOnnxRuntime();
  const runtime: Runtime = {
    engine: stock.engine,
    load: (path, options) => {
      loaded.push(path);
      return stock.load(path, options);
    },
  };
  const prepared = model();
  const recipe = resolveRecipe({ method: 'auto', artifacts: [profile], activations: { bits } });
  const units = findUnits(findLayers(prepared).layers, recipe);
  const scratchDir = temporaryFolder(t);
  const latencies = await measureLayerLatencies({
    prepared,
    units,
    recipe,
    feeds: new Map([['x', floats([1, 8, 4, 6], Array(192).fill(0.5))]]),
    runtime,
    sessionOptions: { threads: 1, optimization: 'all' },
    scratchDir,
  });
  assert.deepEqual(await readdir(scratchDir), []);
  return { units, latencies, loaded };
}

test('every precision of every weight is measured in the shapes of the network, in each profile', async (t) => {
  for (const [profile, bits] of [
    ['portable', 8],
    ['accelerated', 8],
    ['ort-nbits', null],
  ] as const) {
    const { units, latencies } = await measure(t, profile, bits);
    assert.deepEqual(
      latencies.map(({ length }) => length),
      units.map(({ precisions }) => precisions.length),
    );
    for (const ms of latencies.flat()) assert.ok(ms > 0 && ms < 1e4, `${profile}: ${ms}`);
  }
});

test('layers that are alike are measured once, and layers that share a weight together', async (t) => {
  const { units, latencies, loaded } = await measure(t, 'portable', 8);
  const names = units.map(({ layers }) => layers.map(({ node }) => node.name).join(' '));
  assert.deepEqual(names, ['a', 'b', 'c', 'd e', 'f']);
  // The shapes take one session, b is as a, and e as d.
  const [, ...distinct] = units;
  assert.equal(loaded.length, 1 + distinct.reduce((sum, { precisions }) => sum + precisions.length, 0));
  assert.deepEqual(latencies[0], latencies[1]);
});

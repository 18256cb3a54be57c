import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementCount, isFloat, type Model, macsOf } from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import { seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { costOf, networkCost } from './cost.js';
import { deriveNetwork } from './derive.js';
import { isFree, widthGraph } from './widths/width-graph.js';

const BATCH = 2;

function parametersOf({ graph }: Model): number {
  const floats = [...graph.initializers.values()].filter(({ dtype }) => isFloat(dtype));
  return floats.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

test('the cost of any widths is that of the network with them', async () => {
  for (let seed = 0; seed < 150; seed++) {
    const model = randomNetwork(seed, { withShuffles: true });
    removeUnused(model);
    const graph = await widthGraph(model);
    const random = seededRandom(seed);
    const sources = new Map(
      graph.widths.filter(isFree).map(({ id, channels, multipleOf }) => {
        const width = multipleOf * Math.max(Math.round((channels * (0.3 + 1.7 * random())) / multipleOf), 1);
        return [id, Array.from({ length: width }, (_, i) => i % channels)];
      }),
    );
    const derived = await deriveNetwork(model, graph, sources);
    removeUnused(derived);
    const cost = networkCost(model, graph);
    const counts = new Map([...sources].map(([id, { length }]) => [id, length]));
    assert.equal(costOf(cost.macs, graph, counts), macsOf(derived)! / BATCH, `seed ${seed}`);
    assert.equal(costOf(cost.parameters, graph, counts), parametersOf(derived), `seed ${seed}`);
  }
});

const RESNET20 = 'models/resnet20_cifar10.onnx';

test('ResNet-20 costs 40.55 million multiply-accumulates', { skip: skipWithout(RESNET20) }, async () => {
  const model = await readModel(sharedData(RESNET20));
  const graph = await widthGraph(model);
  const { macs } = networkCost(model, graph);
  const total = costOf(macs, graph);
  assert.equal((total / 1e6).toFixed(2), '40.55');
});

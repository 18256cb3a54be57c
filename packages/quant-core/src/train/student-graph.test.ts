import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildWorkingGraph } from '../artifact/working-graph.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { smallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { buildStudentGraph } from './student-graph.js';

for (const bits of [8, 4] as const) {
  test(`the student computes what the quantized network computes, activations of ${bits} bits`, async (t) => {
    const network = await quantizedNetwork(t, smallNetwork(), { activations: { bits }, weights: { solver: 'exact' } });
    const next = gaussian(seededRandom(3));
    const [input] = network.prepared.graph.inputs;
    const image = floats(
      [1, 3, 12, 12],
      Array.from({ length: 432 }, () => 3 * next()),
    );
    const feeds = [new Map([[input!.name, image]])];
    const output = network.prepared.graph.outputs[0]!.name;
    const outputs = await Promise.all(
      [await buildStudentGraph(network), await buildWorkingGraph(network, 13)].map(async ({ model }) => {
        const [run] = await runWhole(model, [output], feeds, temporaryFolder(t));
        return run!.get(output)!.data;
      }),
    );
    assert.deepEqual(outputs[0], outputs[1]);
  });
}

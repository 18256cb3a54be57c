import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildWorkingGraph } from '../artifact/working-graph.js';
import { differentiate, knownShapes } from '../autodiff/gradients.js';
import { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { shortcutNetwork } from '../testing/shortcut-network.js';
import { smallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { buildStudentGraph } from './student-graph.js';

for (const [bits, quantizer] of [
  [8, 'lsq'],
  [4, 'lsq'],
  [4, 'pact'],
] as const) {
  test(`the student computes what the quantized network computes, activations of ${bits} bits by ${quantizer}`, async (t) => {
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
      [await buildStudentGraph(network, quantizer), await buildWorkingGraph(network, 13)].map(async ({ model }) => {
        const [run] = await runWhole(model, [output], feeds, temporaryFolder(t));
        return run!.get(output)!.data;
      }),
    );
    assert.deepEqual(outputs[0], outputs[1]);
  });
}

for (const [bits, quantizer] of [
  [4, 'lsq'],
  [2, 'lsq'],
  [2, 'pact'],
] as const) {
  test(`the student quantizes wide shortcuts twice as the network does, ${bits} bits by ${quantizer}`, async (t) => {
    const network = await quantizedNetwork(t, shortcutNetwork(), {
      activations: { bits, shortcuts: 'wide' },
      weights: { solver: 'exact', groupSize: 4 },
    });
    const student = await buildStudentGraph(network, quantizer);
    const second = [...network.activations.branches.values()].map(({ name }) => student.scales.get(name));
    assert.equal(new Set(second).size, 3);
    const next = gaussian(seededRandom(3));
    const image = floats([1, 8, 9, 9], Array.from({ length: 648 }, next));
    const working = await buildWorkingGraph(network, 13);
    const outputs = await Promise.all(
      [student.model, working.model].map(async (model) => {
        const [run] = await runWhole(model, ['y', 'd.r'], [new Map([['x', image]])], temporaryFolder(t));
        return [run!.get('y')!.data, run!.get('d.r')!.data];
      }),
    );
    assert.deepEqual(outputs[0], outputs[1]);
    assert.ok(new Set(outputs[0]![1] as Float32Array).size > 2 ** bits, 'the output has 8 bits');
  });
}

for (const quantizer of ['lsq', 'pact'] as const) {
  test(`scales learn by ${quantizer} ${quantizer === 'lsq' ? 'everywhere' : 'where values are clipped'}`, async (t) => {
    const network = await quantizedNetwork(t, smallNetwork(), {
      activations: { bits: 4 },
      weights: { solver: 'exact' },
    });
    const { model, scales, held } = await buildStudentGraph(network, quantizer);
    const next = gaussian(seededRandom(3));
    const [input] = model.graph.inputs;
    const options = { wrt: [...scales.values()], symbols: new Map([['N', 1]]), held };
    const b = new ShapedBuilder(model, knownShapes(model, options.symbols));
    const [output] = model.graph.outputs;
    const sum = b.sum(
      output!.name,
      b.shapeOf(output!.name).map((_, axis) => axis),
    );
    const nodes = [...model.graph.nodes, ...b.nodes];
    const graph = { ...model.graph, nodes, initializers: new Map(b.initializers) };
    const backward = await differentiate({ ...model, graph }, { ...options, loss: sum });
    const gradients = [...backward.gradients.values()];
    const image = floats(
      [1, 3, 12, 12],
      Array.from({ length: 432 }, () => 0.5 * next()),
    );
    const [run] = await runWhole(backward.model, gradients, [new Map([[input!.name, image]])], temporaryFolder(t));
    const learns = gradients.map((name) => (run!.get(name)!.data as Float32Array)[0] !== 0);
    assert.equal(learns.every(Boolean), quantizer === 'lsq', `${learns}`);
    assert.ok(learns.some(Boolean));
  });
}

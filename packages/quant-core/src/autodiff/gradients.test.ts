import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringValue, tensorFromFloats } from '../ir/index.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { differentiate } from './gradients.js';

function lossModel(nodes: readonly TinyNode[]) {
  return tinyModel({
    inputs: [['x', 'float32', ['N']]],
    outputs: [['loss', 'float32', null]],
    nodes,
    constants: {
      w: tensorFromFloats([1], Float32Array.of(3)),
      unused: tensorFromFloats([2], Float32Array.of(1, 2)),
    },
  });
}

const SYMBOLS = new Map([['N', 1]]);

test('a value that is used several times gets the sum of its gradients, one that is not used zeros', async (t) => {
  // loss = (w·x)² + w·x − x
  const model = lossModel([
    { op: 'Mul', inputs: ['w', 'x'], outputs: ['p'] },
    { op: 'Mul', inputs: ['p', 'p'], outputs: ['square'] },
    { op: 'Add', inputs: ['square', 'p'], outputs: ['both'] },
    { op: 'Sub', inputs: ['both', 'x'], outputs: ['loss'] },
  ]);
  const { model: backward, gradients } = await differentiate(model, {
    loss: 'loss',
    wrt: ['w', 'x', 'unused'],
    symbols: SYMBOLS,
  });
  const names = ['w', 'x', 'unused'].map((name) => gradients.get(name)!);
  const [outputs] = await runWhole(backward, names, [new Map([['x', floats([1], [2])]])], temporaryFolder(t));
  assert.deepEqual(
    names.map((name) => Array.from(outputs!.get(name)!.data as Float32Array)),
    [[2 * 6 * 2 + 2], [2 * 6 * 3 + 3 - 1], [0, 0]],
  );
});

test('no gradient goes through a value that is held', async (t) => {
  // loss = w·x + (w·w)·x, where w·w is held
  const model = lossModel([
    { op: 'Mul', inputs: ['w', 'x'], outputs: ['p'] },
    { op: 'Mul', inputs: ['w', 'w'], outputs: ['square'] },
    { op: 'Mul', inputs: ['square', 'x'], outputs: ['q'] },
    { op: 'Add', inputs: ['p', 'q'], outputs: ['loss'] },
  ]);
  const options = { loss: 'loss', wrt: ['w'], symbols: SYMBOLS, held: new Set(['square']) };
  const { model: backward, gradients } = await differentiate(model, options);
  const name = gradients.get('w')!;
  const [outputs] = await runWhole(backward, [name], [new Map([['x', floats([1], [2])]])], temporaryFolder(t));
  assert.deepEqual(Array.from(outputs!.get(name)!.data as Float32Array), [2]);
});

test('nothing is added that no wanted gradient needs', async () => {
  const model = lossModel([
    { op: 'Exp', inputs: ['x'], outputs: ['e'] },
    { op: 'Mul', inputs: ['w', 'e'], outputs: ['loss'] },
  ]);
  const { model: backward } = await differentiate(model, { loss: 'loss', wrt: ['w'], symbols: SYMBOLS });
  const added = backward.graph.nodes.slice(2).map(({ opType }) => opType);
  assert.deepEqual(added, ['Expand', 'Mul']);
  assert.equal(model.graph.nodes.length, 2, 'the model itself stays as it was');
});

test('an operator without a rule is named, with its node and opset, unless no gradient has to pass it', async () => {
  const model = lossModel([
    { op: 'Erfinv', name: 'strange', inputs: ['x'], outputs: ['e'] },
    { op: 'Mul', inputs: ['w', 'e'], outputs: ['loss'] },
  ]);
  model.graph.valueInfo.set('e', { name: 'e', dtype: 'float32', shape: [1] });
  await assert.rejects(differentiate(model, { loss: 'loss', wrt: ['x'], symbols: SYMBOLS }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /Erfinv \(opset 17\) of node strange cannot be differentiated: there is no gradient rule/,
  });
  await assert.doesNotReject(differentiate(model, { loss: 'loss', wrt: ['w'], symbols: new Map([['N', 1]]) }));
});

test('shapes behind a Resize by scales are known', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', [1, 2, 3, 3]]],
    outputs: [['loss', 'float32', null]],
    nodes: [
      { op: 'Resize', inputs: ['x', '', 'scales'], outputs: ['large'], attributes: { mode: stringValue('nearest') } },
      { op: 'GlobalAveragePool', inputs: ['large'], outputs: ['mean'] },
      { op: 'ReduceSum', inputs: ['mean'], outputs: ['loss'] },
    ],
    constants: { scales: tensorFromFloats([4], Float32Array.of(1, 1, 2, 2)) },
  });
  const { gradients, shapes } = await differentiate(model, { loss: 'loss', wrt: ['x'] });
  assert.deepEqual(shapes.get('large'), [1, 2, 6, 6]);
  assert.deepEqual(shapes.get(gradients.get('x')!), [1, 2, 3, 3]);
});

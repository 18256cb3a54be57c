import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { plainInitializers } from './plain-initializers.js';

test('inputs that only give initializers a default go away', async (t) => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [2, 3]],
      ['w', 'float32', [3, 4]],
    ],
    outputs: [['y', 'float32', [2, 4]]],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    constants: { w: randomTensor([3, 4], 1) },
  });
  const withoutDefault = structuredClone(model);
  withoutDefault.graph.inputs.pop();
  assert.equal(plainInitializers(withoutDefault), false);
  assert.equal(plainInitializers(model), true);
  assert.deepEqual(
    model.graph.inputs.map(({ name }) => name),
    ['x'],
  );
  await checkPass(t, model, () => true);
});

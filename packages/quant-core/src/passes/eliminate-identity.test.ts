import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPass } from '../testing/check-pass.js';
import { tinyModel } from '../testing/tiny-model.js';
import { eliminateIdentity } from './eliminate-identity.js';

test('identities and dropouts in the middle and at the output disappear', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2]]],
    outputs: [['y', 'float32', [2]]],
    nodes: [
      { op: 'Identity', inputs: ['x'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'Dropout', inputs: ['b'], outputs: ['c'] },
      { op: 'Neg', inputs: ['c'], outputs: ['d'] },
      { op: 'Identity', inputs: ['d'], outputs: ['y'] },
    ],
  });
  const after = await checkPass(t, model, eliminateIdentity);
  assert.deepEqual(
    after.graph.nodes.map((node) => [node.opType, ...node.inputs, ...node.outputs]),
    [
      ['Relu', 'x', 'b'],
      ['Neg', 'b', 'y'],
    ],
  );
});

test('an identity from an input to an output stays, and so does a dropout whose mask is used', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2]]],
    outputs: [
      ['y', 'float32', [2]],
      ['mask', 'bool', [2]],
    ],
    nodes: [
      { op: 'Identity', inputs: ['x'], outputs: ['y'] },
      { op: 'Dropout', inputs: ['x'], outputs: ['dropped', 'mask'] },
    ],
  });
  assert.equal(await eliminateIdentity(model), false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scalarFloat, scalarUint8, tensorFromFloats } from '../../ir/index.js';
import { runWhole } from '../../prefix/testing.js';
import { floats } from '../../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../../testing/random.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';

const COUNT = 1000;
const [SCALE, ZERO_POINT, MAX_CODE] = [0.2, 3, 15];

/** loss = Σ r · y, y the values x clipped to the range of 4-bit codes and quantized, as LSQ writes it. */
function quantizer(r: Float32Array) {
  return tinyModel({
    inputs: [['x', 'float32', [COUNT]]],
    outputs: [['loss', 'float32', null]],
    nodes: [
      { op: 'Mul', inputs: ['s', 'below'], outputs: ['low'] },
      { op: 'Mul', inputs: ['s', 'above'], outputs: ['high'] },
      { op: 'Clip', inputs: ['x', 'low', 'high'], outputs: ['c'] },
      { op: 'QuantizeLinear', inputs: ['c', 's', 'z'], outputs: ['q'] },
      { op: 'DequantizeLinear', inputs: ['q', 's', 'z'], outputs: ['y'] },
      { op: 'Mul', inputs: ['r', 'y'], outputs: ['weighted'] },
      { op: 'ReduceSum', inputs: ['weighted'], outputs: ['loss'] },
    ],
    constants: {
      s: scalarFloat(SCALE),
      z: scalarUint8(ZERO_POINT),
      below: scalarFloat(-ZERO_POINT),
      above: scalarFloat(MAX_CODE - ZERO_POINT),
      r: tensorFromFloats([COUNT], r),
    },
  });
}

test('a quantizer passes gradients within its range, and its scale gets that of LSQ', async (t) => {
  const next = gaussian(seededRandom(3));
  const [x, r] = [0, 1].map(() => Float32Array.from({ length: COUNT }, () => next())) as [Float32Array, Float32Array];
  const { model, gradients } = await differentiate(quantizer(r), { loss: 'loss', wrt: ['x', 's'] });
  const names = ['x', 's'].map((name) => gradients.get(name)!);
  const [outputs] = await runWhole(model, names, [new Map([['x', floats([COUNT], x)]])], temporaryFolder(t));
  const [dx, [ds]] = names.map((name) => outputs!.get(name)!.data as Float32Array) as [Float32Array, Float32Array];

  const scale = Math.fround(SCALE);
  const [least, most] = [-ZERO_POINT, MAX_CODE - ZERO_POINT];
  let expected = 0;
  x.forEach((value, i) => {
    const v = value / scale;
    const isInside = v > least && v < most;
    assert.ok(dx[i] === (isInside ? r[i] : 0), `${dx[i]} at ${value}`);
    expected += r[i]! * (isInside ? Math.round(v) - v : Math.min(Math.max(v, least), most));
  });
  assert.ok(Math.abs(ds! - expected) < 1e-5 * Math.abs(expected) + 1e-4, `${ds} instead of ${expected}`);
});

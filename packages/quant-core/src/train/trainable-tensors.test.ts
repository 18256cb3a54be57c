import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intsValue, intValue, tensorFromFloats } from '../ir/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { heNormal } from './initial-weights.js';
import { parametersOf } from './parameter-vector.js';
import { normalizations } from './running-statistics.js';
import { trainableTensors } from './trainable-tensors.js';

const tensor = (...shape: number[]) => randomTensor(shape, 1);

/** Layers of all kinds. */
function network() {
  return tinyModel({
    inputs: [['x', 'float32', ['N', 4, 8, 8]]],
    outputs: [['y', 'float32', ['N', 10]]],
    nodes: [
      {
        op: 'Conv',
        inputs: ['x', 'grouped', 'taken_away'],
        outputs: ['c1'],
        attributes: { group: intValue(2), kernel_shape: intsValue([3, 3]) },
      },
      { op: 'BatchNormalization', inputs: ['c1', 'gain', 'shift', 'mean', 'variance'], outputs: ['n1'] },
      { op: 'Mul', inputs: ['n1', 'constant'], outputs: ['m'] },
      { op: 'Conv', inputs: ['m', 'pointwise', 'kept'], outputs: ['c2'] },
      { op: 'GlobalAveragePool', inputs: ['c2'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'rows', 'gemm_bias'], outputs: ['g'], attributes: { transB: intValue(1) } },
      { op: 'MatMul', inputs: ['g', 'columns'], outputs: ['mm'] },
      { op: 'Add', inputs: ['added', 'mm'], outputs: ['y'] },
    ],
    constants: {
      grouped: tensor(6, 2, 3, 3),
      taken_away: tensor(6),
      gain: tensor(6),
      shift: tensor(6),
      mean: tensor(6),
      variance: tensor(6),
      constant: tensor(6, 1, 1),
      pointwise: tensor(5, 6, 1, 1),
      kept: tensor(5),
      rows: tensor(7, 5),
      gemm_bias: tensor(7),
      columns: tensor(7, 10),
      added: tensor(10),
    },
  });
}

test('weights, biases and gains are trained; constants, statistics and what normalization takes away are not', () => {
  const model = network();
  const found = trainableTensors(model, normalizations(model));
  assert.deepEqual(
    found.map(({ name, kind, fanIn }) => [name, kind, ...(kind === 'weight' ? [fanIn] : [])]),
    [
      ['grouped', 'weight', 18],
      ['gain', 'gain'],
      ['shift', 'bias'],
      ['pointwise', 'weight', 6],
      ['kept', 'bias'],
      ['rows', 'weight', 5],
      ['gemm_bias', 'bias'],
      ['columns', 'weight', 7],
      ['added', 'bias'],
    ],
  );
  const frozen = trainableTensors(model, []).map(({ name }) => name);
  assert.ok(frozen.includes('taken_away'), 'statistics that stay take nothing away');
});

test('weights start with a variance of 2 over what they add up, gains with 1, biases with 0, by the seed alone', () => {
  const model = network();
  model.graph.initializers.set('columns', tensorFromFloats([7, 4000], new Float32Array(28000)));
  const tensors = trainableTensors(model, normalizations(model));
  const parameters = parametersOf(
    model,
    tensors.map(({ name }) => name),
  );
  const vector = heNormal(parameters, tensors, 1);
  const valuesOf = (wanted: string) => {
    const { offset, length } = parameters.find(({ name }) => name === wanted)!;
    return [...vector.subarray(offset, offset + length)];
  };
  assert.deepEqual(valuesOf('gain'), Array(6).fill(1));
  assert.deepEqual(valuesOf('added'), Array(10).fill(0));
  const variance = valuesOf('columns').reduce((sum, value) => sum + value * value, 0) / 28000;
  assert.ok(Math.abs(variance / (2 / 7) - 1) < 0.03, String(variance));
  assert.deepEqual(heNormal(parameters, tensors, 1), vector);
  assert.notDeepEqual(heNormal(parameters, tensors, 2), vector);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attribute, floatValue, scalarFloat, stringValue } from '../../ir/index.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

/** Wide enough for every branch to be met, on both sides of every kink. */
const SHAPE = [2, 3, 7];
const floats = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, floatValue(value)]));

for (const op of ['Relu', 'Sigmoid', 'Tanh', 'Erf', 'Softplus', 'Softsign', 'HardSwish']) {
  test(`${op} has the derivative of its definition`, async (t) => {
    const range = op === 'HardSwish' ? ([-5, 5] as const) : ([-2.5, 2.5] as const);
    await checkGradient(t, { node: { op }, inputs: [SHAPE], range });
    await checkGradient(t, { node: { op }, inputs: [[]], range: [0.2, 0.7] });
  });
}

const PARAMETERS: Readonly<Record<string, readonly Readonly<Record<string, number>>[]>> = {
  LeakyRelu: [{}, { alpha: 0.3 }, { alpha: 0 }, { alpha: -0.5 }, { alpha: 1.5 }],
  HardSigmoid: [{}, { alpha: 1 / 6, beta: 0.25 }, { alpha: -0.4 }],
  Elu: [{}, { alpha: 0.4 }, { alpha: 2 }],
  Selu: [{}, { alpha: 0.7, gamma: 1.3 }],
};
for (const [op, parameters] of Object.entries(PARAMETERS)) {
  test(`${op} heeds its parameters and their defaults`, async (t) => {
    for (const values of parameters)
      await checkGradient(t, { node: { op, attributes: floats(values) }, inputs: [SHAPE], range: [-5, 5] });
  });
}

test('PRelu learns slopes of elements, of channels and one of all', async (t) => {
  for (const slope of [[2, 3, 5, 3], [3, 1, 1], [1], [3]])
    await checkGradient(t, { node: { op: 'PRelu' }, inputs: [[2, 3, 5, 3], slope] });
});

test('Clip passes what is within its bounds, which may be left out', async (t) => {
  const [low, high] = [scalarFloat(-0.4), scalarFloat(0.6)];
  for (const constants of [[low, high], [low], [null, high], []])
    await checkGradient(t, { node: { op: 'Clip' }, inputs: [SHAPE], constants });
  const attributes = floats({ min: -0.3, max: 0.5 });
  await checkGradient(t, { node: { op: 'Clip', attributes }, inputs: [SHAPE], opset: 10 });
});

test('bounds of Clip can be learned', async (t) => {
  // Bounds of 0.2 … 0.7 in the order in which they are drawn; x is beyond them on either side.
  for (const inputs of [
    [SHAPE, []],
    [SHAPE, [], []],
  ])
    await checkGradient(t, { node: { op: 'Clip' }, inputs, range: [0.2, 0.7] });
});

test('both forms of Gelu have the derivative of their definition', async (t) => {
  for (const attributes of [{}, { approximate: stringValue('none') }, { approximate: stringValue('tanh') }])
    await checkGradient(t, { node: { op: 'Gelu', attributes }, inputs: [SHAPE], range: [-4, 4], opset: 20 });
});

test('an approximation of Gelu that is not known is refused', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', []]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Gelu', inputs: ['x'], outputs: ['y'], attributes: { approximate: stringValue('sigmoid') } }],
    opset: 20,
  });
  await assert.rejects(differentiate(model, { loss: 'y', wrt: ['x'] }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /its approximation is sigmoid, known are none and tanh/,
  });
});

test('only the gradients that are wanted are computed', async () => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', []],
      ['s', 'float32', []],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'PRelu', inputs: ['x', 's'], outputs: ['y'] }],
  });
  const added = async (wrt: string) => {
    const { model: backward } = await differentiate(model, { loss: 'y', wrt: [wrt] });
    return backward.graph.nodes.slice(1).map(({ opType }) => opType);
  };
  assert.deepEqual(await added('s'), ['Min', 'Mul']);
  assert.deepEqual(await added('x'), ['Greater', 'Where', 'Mul']);
});

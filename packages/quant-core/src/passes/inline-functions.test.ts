import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FunctionDefinition, intValue, type Model, type Node } from '../ir/index.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { inlineFunctions } from './inline-functions.js';

function node(
  opType: string,
  domain: string,
  inputs: string[],
  outputs: string[],
  attributes: Node['attributes'] = new Map(),
): Node {
  return { name: `${opType}_${outputs[0]}`, opType, domain, inputs, outputs, attributes };
}

function definition(name: string, nodes: Node[], extra: Partial<FunctionDefinition> = {}): FunctionDefinition {
  return {
    name,
    domain: 'own',
    overload: '',
    inputs: ['a', 'w'],
    outputs: ['r'],
    attributes: [],
    nodes,
    opsetImports: new Map([
      ['', 17],
      ['own', 1],
    ]),
    ...extra,
  };
}

function modelWith(functions: FunctionDefinition[]): Model {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Outer', inputs: ['x', 'w1'], outputs: ['h'] },
      { op: 'Outer', inputs: ['h', 'w2'], outputs: ['y'] },
    ],
    constants: { w1: randomTensor([3, 3], 1), w2: randomTensor([3, 3], 2) },
  });
  for (const call of model.graph.nodes) {
    call.domain = 'own';
    call.attributes.set('way', intValue(1));
  }
  model.opsetImports.set('own', 1);
  model.functions = functions;
  return model;
}

const inner = definition(
  'Inner',
  [
    node('Softmax', '', ['a'], ['s'], new Map([['axis', { kind: 'ref', value: 'axis', type: 2 }]])),
    node('MatMul', '', ['s', 'w'], ['r']),
  ],
  { attributes: ['axis'] },
);
const outer = definition(
  'Outer',
  [
    node('Inner', 'own', ['a', 'w'], ['i'], new Map([['axis', { kind: 'ref', value: 'way', type: 2 }]])),
    node('Relu', '', ['i'], ['r']),
  ],
  { attributes: ['way'] },
);

test('nested calls become nodes of the graph, with attributes passed down and names apart', async (t) => {
  const after = await checkPass(t, modelWith([inner, outer]), (model) => inlineFunctions(model));
  assert.deepEqual(
    after.graph.nodes.map((at) => at.opType),
    ['Softmax', 'MatMul', 'Relu', 'Softmax', 'MatMul', 'Relu'],
  );
  assert.equal(new Set(after.graph.nodes.flatMap((at) => at.outputs)).size, 6);
  assert.equal(after.functions.length, 0);
});

test('a function of another opset than the model keeps being called', () => {
  const older = definition('Outer', [node('Relu', '', ['a'], ['r'])], { opsetImports: new Map([['', 13]]) });
  const model = modelWith([older]);
  assert.equal(inlineFunctions(model), false);
  assert.equal(model.functions.length, 1);
});

test('functions that expand without end or bound are refused by name', () => {
  const itself = definition('Outer', [node('Outer', 'own', ['a', 'w'], ['r'])]);
  assert.throws(() => inlineFunctions(modelWith([itself])), { code: 'MODEL_TOO_DEEP' });
  const twice = definition('Outer', [node('Relu', '', ['a'], ['b']), node('Relu', '', ['b'], ['r'])]);
  assert.throws(() => inlineFunctions(modelWith([twice]), { maxNodes: 3, maxDepth: 8 }), {
    code: 'MODEL_TOO_MANY_NODES',
  });
});

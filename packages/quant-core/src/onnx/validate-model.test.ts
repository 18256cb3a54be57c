/** One case for each way in which a model can be refused, so longer than other files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import {
  type Attribute,
  type FunctionDefinition,
  type Graph,
  intValue,
  type Model,
  type Node,
  scalarFloat,
  type Tensor,
  tensorFromBytes,
  tensorFromFloats,
  tensorFromInt64,
  tensorValue,
} from '../ir/index.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { outcomeOf } from './testing.js';
import { validateModel } from './validate-model.js';

/** What validation refuses and accepts, one model per line. A table of cases, hence long. */

const x = ['x', 'float32', ['N', 4]] as const;
const y = ['y', 'float32', ['N', 4]] as const;
const INT4 = 22;

function model(nodes: readonly TinyNode[], constants: Record<string, Tensor> = {}, opset = 17): Model {
  return tinyModel({ inputs: [x], outputs: [y], nodes, constants, opset });
}

const relu = (input: string, output: string, name?: string): TinyNode => ({
  op: 'Relu',
  ...(name && { name }),
  inputs: [input],
  outputs: [output],
});

/** A graph for an attribute, with an output and no inputs. */
function body(nodes: readonly TinyNode[], output: string, constants: Record<string, Tensor> = {}): Attribute {
  const graph: Graph = tinyModel({ inputs: [], outputs: [[output, 'undefined', null]], nodes, constants }).graph;
  return { kind: 'graph', value: graph };
}

function calls(name: string, count: number): Node[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `${name}${i}`,
    opType: name,
    domain: name === 'Relu' ? '' : 'local',
    inputs: [`v${i}`],
    outputs: [`v${i + 1}`],
    attributes: new Map(),
  }));
}

function definition(name: string, nodes: Node[]): FunctionDefinition {
  return {
    name,
    domain: 'local',
    overload: '',
    inputs: ['v0'],
    outputs: [`v${nodes.length}`],
    attributes: [],
    nodes,
    opsetImports: new Map([
      ['', 17],
      ['local', 1],
    ]),
  };
}

/** A model that calls the last of the functions. */
function calling(functions: FunctionDefinition[]): Model {
  const base = model([relu('x', 'y')]);
  base.opsetImports.set('local', 1);
  base.functions = functions;
  const last = functions[functions.length - 1]!.name;
  base.graph.nodes = [
    { name: 'call', opType: last, domain: 'local', inputs: ['x'], outputs: ['y'], attributes: new Map() },
  ];
  return base;
}

/** `levels` functions that each call the one below `width` times. */
function tower(levels: number, width: number): Model {
  return calling(
    Array.from({ length: levels }, (_, i) => definition(`f${i}`, calls(i === 0 ? 'Relu' : `f${i - 1}`, width))),
  );
}

function changed(base: Model, change: (model: Model) => void): Model {
  change(base);
  return base;
}

const weight = (values: ArrayLike<number>) => tensorFromFloats([4, 4], Float32Array.from(values));
const nan = weight(Array.from({ length: 16 }, (_, i) => (i === 9 ? Number.NaN : 1)));
const infinite = weight(Array.from({ length: 16 }, (_, i) => (i === 3 ? Number.NEGATIVE_INFINITY : 1)));
const matMul: TinyNode = { op: 'MatMul', name: 'fc', inputs: ['x', 'w'], outputs: ['y'] };
const packed4 = tensorFromBytes('int4', [4, 4], new Uint8Array(8));
const scale = scalarFloat(1);
const huge = tensorFromInt64([5], [4, 1024, 1024, 1024, 1024]);
const ifNode = (thenBranch: Attribute, elseBranch: Attribute): TinyNode => ({
  op: 'If',
  name: 'choice',
  inputs: ['condition'],
  outputs: ['y'],
  attributes: { then_branch: thenBranch, else_branch: elseBranch },
});
const yes = { condition: tensorFromBytes('bool', [], Uint8Array.of(1)) };

const refused: readonly (readonly [string, string, Model])[] = [
  ['opset 6', 'MODEL_UNSUPPORTED_OPSET', model([relu('x', 'y')], {}, 6)],
  ['opset 27', 'MODEL_UNSUPPORTED_OPSET', model([relu('x', 'y')], {}, 27)],
  [
    'IR version 14',
    'MODEL_UNSUPPORTED_OPSET',
    changed(model([relu('x', 'y')]), (m) => {
      m.irVersion = 14;
    }),
  ],
  [
    'IR version 2',
    'MODEL_UNSUPPORTED_OPSET',
    changed(model([relu('x', 'y')]), (m) => {
      m.irVersion = 2;
    }),
  ],
  ['no opset', 'MODEL_UNSUPPORTED_OPSET', changed(model([relu('x', 'y')]), (m) => m.opsetImports.clear())],
  ['no output', 'MODEL_NO_OUTPUT', tinyModel({ inputs: [x], outputs: [], nodes: [relu('x', 'y')] })],
  ['an input that nothing defines', 'MODEL_INVALID', model([relu('nowhere', 'y')])],
  ['an output that nothing defines', 'MODEL_INVALID', model([relu('x', 'z')])],
  ['a value made twice', 'MODEL_INVALID', model([relu('x', 'y'), relu('x', 'y')])],
  ['a node that makes a graph input', 'MODEL_INVALID', model([relu('x', 'x'), relu('x', 'y')])],
  ['a node that makes an initializer', 'MODEL_INVALID', model([relu('x', 'w'), relu('w', 'y')], { w: scale })],
  [
    'a value of one branch used in the other',
    'MODEL_INVALID',
    model([ifNode(body([relu('x', 'a')], 'a'), body([relu('a', 'b')], 'b'))], yes),
  ],
  [
    'a cycle',
    'MODEL_CYCLIC',
    model([relu('b', 'a'), relu('a', 'b'), { op: 'Add', inputs: ['a', 'x'], outputs: ['y'] }]),
  ],
  [
    'a cycle through a branch',
    'MODEL_CYCLIC',
    model([ifNode(body([relu('y', 'a')], 'a'), body([relu('x', 'b')], 'b'))], yes),
  ],
  ['an unknown operator', 'MODEL_UNKNOWN_OPERATOR', model([{ op: 'relu', inputs: ['x'], outputs: ['y'] }])],
  [
    'an operator named like a property of objects',
    'MODEL_UNKNOWN_OPERATOR',
    model([{ op: 'constructor', inputs: ['x'], outputs: ['y'] }]),
  ],
  [
    'an unknown domain',
    'MODEL_UNKNOWN_DOMAIN',
    changed(model([relu('x', 'y')]), (m) => {
      m.graph.nodes[0]!.domain = 'com.example';
    }),
  ],
  [
    'a function that is not there',
    'MODEL_UNKNOWN_OPERATOR',
    changed(tower(1, 1), (m) => {
      m.graph.nodes[0]!.opType = 'f9';
    }),
  ],
  [
    'a contrib operator without its opset',
    'MODEL_UNSUPPORTED_OPSET',
    changed(model([{ op: 'FusedMatMul', inputs: ['x', 'x'], outputs: ['y'] }]), (m) => {
      m.graph.nodes[0]!.domain = 'com.microsoft';
    }),
  ],
  ['a function that calls itself', 'MODEL_TOO_DEEP', calling([definition('f0', calls('f0', 1))])],
  [
    'functions that call each other in a circle',
    'MODEL_TOO_DEEP',
    calling([definition('f0', calls('f1', 2)), definition('f1', calls('f0', 2))]),
  ],
  [
    'a circle of functions that nobody calls',
    'MODEL_TOO_DEEP',
    calling([definition('f0', calls('f0', 1)), definition('f1', calls('Relu', 1))]),
  ],
  ['17 levels of functions', 'MODEL_TOO_DEEP', tower(17, 1)],
  ['12 levels of ten calls each', 'MODEL_TOO_MANY_NODES', tower(12, 10)],
  ['16 levels of a thousand calls each', 'MODEL_TOO_MANY_NODES', tower(16, 1000)],
  [
    'a 4-bit input',
    'MODEL_UNSUPPORTED_DTYPE',
    changed(model([relu('x', 'y')]), (m) => {
      m.graph.inputs = [{ name: 'x', dtype: 'uint4', shape: [4] }];
    }),
  ],
  [
    'a 2-bit output',
    'MODEL_UNSUPPORTED_DTYPE',
    changed(model([relu('x', 'y')]), (m) => {
      m.graph.outputs = [{ name: 'y', dtype: 'int2', shape: [4] }];
    }),
  ],
  [
    'a value declared as 4-bit',
    'MODEL_UNSUPPORTED_DTYPE',
    changed(model([relu('x', 'a'), relu('a', 'y')]), (m) =>
      m.graph.valueInfo.set('a', { name: 'a', dtype: 'float4e2m1', shape: null }),
    ),
  ],
  [
    'activations quantized to 4 bits by their zero point',
    'MODEL_UNSUPPORTED_DTYPE',
    quantizing({ inputs: ['x', 's', 'z'] }, { s: scale, z: tensorFromBytes('int4', [], new Uint8Array(1)) }),
  ],
  [
    'activations quantized to 4 bits by an attribute',
    'MODEL_UNSUPPORTED_DTYPE',
    quantizing({ inputs: ['x', 's'], attributes: { output_dtype: intValue(INT4) } }, { s: scale }),
  ],
  ['activations cast to 4 bits', 'MODEL_UNSUPPORTED_DTYPE', castTo(INT4)],
  [
    'activations cast like a 4-bit constant',
    'MODEL_UNSUPPORTED_DTYPE',
    model(
      [
        { op: 'CastLike', inputs: ['x', 'q'], outputs: ['a'] },
        { op: 'Cast', inputs: ['a'], outputs: ['y'], attributes: { to: intValue(1) } },
      ],
      { q: packed4 },
      21,
    ),
  ],
  [
    'a 4-bit constant out of a branch',
    'MODEL_UNSUPPORTED_DTYPE',
    model([ifNode(body([], 'a', { a: packed4 }), body([], 'b', { b: packed4 }))], yes, 21),
  ],
  ['a 4-bit constant as the output', 'MODEL_UNSUPPORTED_DTYPE', model([], { y: packed4 }, 21)],
  ['a cast to 4 bits inside a function, by its attribute', 'MODEL_UNSUPPORTED_DTYPE', castingFunction(INT4)],
  [
    'a ConstantOfShape of 16 TB',
    'MODEL_TENSOR_TOO_LARGE',
    model([{ op: 'ConstantOfShape', inputs: ['shape'], outputs: ['y'] }], { shape: huge }),
  ],
  [
    'an Expand to 16 TB',
    'MODEL_TENSOR_TOO_LARGE',
    model([{ op: 'Expand', inputs: ['s', 'shape'], outputs: ['y'] }], { s: scale, shape: huge }),
  ],
  [
    'a Tile of unknown by 16 TB',
    'MODEL_TENSOR_TOO_LARGE',
    model([{ op: 'Tile', inputs: ['x', 'r'], outputs: ['y'] }], { r: tensorFromInt64([2], [1, 2 ** 42]) }),
  ],
  [
    'a Range of 2^50',
    'MODEL_TENSOR_TOO_LARGE',
    model([{ op: 'Range', inputs: ['a', 'b', 'c'], outputs: ['y'] }], {
      a: tensorFromInt64([], [0]),
      b: tensorFromInt64([], [2 ** 50]),
      c: tensorFromInt64([], [1]),
    }),
  ],
  [
    'a ConstantOfShape of 16 TB behind shape arithmetic',
    'MODEL_TENSOR_TOO_LARGE',
    model(
      [
        { op: 'Mul', inputs: ['a', 'a'], outputs: ['b'] },
        { op: 'ConstantOfShape', inputs: ['b'], outputs: ['y'] },
      ],
      { a: tensorFromInt64([2], [2 ** 11, 2 ** 11]) },
    ),
  ],
  [
    'a ConstantOfShape of 16 TB inside a branch',
    'MODEL_TENSOR_TOO_LARGE',
    model(
      [ifNode(body([{ op: 'ConstantOfShape', inputs: ['shape'], outputs: ['a'] }], 'a'), body([relu('x', 'b')], 'b'))],
      { ...yes, shape: huge },
    ),
  ],
  [
    'an input of 16 TB',
    'MODEL_TENSOR_TOO_LARGE',
    changed(model([relu('x', 'y')]), (m) => {
      m.graph.inputs = [{ name: 'x', dtype: 'float32', shape: [2 ** 21, 2 ** 21] }];
    }),
  ],
  ['NaN in a weight', 'MODEL_NONFINITE_WEIGHTS', model([matMul], { w: nan })],
  ['infinity in a weight', 'MODEL_NONFINITE_WEIGHTS', model([matMul], { w: infinite })],
  ['NaN in a constant of an addition', 'MODEL_NONFINITE_WEIGHTS', model([{ ...matMul, op: 'Add' }], { w: nan })],
  [
    'NaN in a Constant behind an Identity',
    'MODEL_NONFINITE_WEIGHTS',
    model([
      { op: 'Constant', inputs: [], outputs: ['c'], attributes: { value: tensorValue(nan) } },
      { op: 'Identity', inputs: ['c'], outputs: ['w'] },
      matMul,
    ]),
  ],
  [
    'NaN in a weight of a branch',
    'MODEL_NONFINITE_WEIGHTS',
    model([ifNode(body([{ ...matMul, outputs: ['a'] }], 'a'), body([relu('x', 'b')], 'b'))], { ...yes, w: nan }),
  ],
  [
    'infinity in a half-precision weight',
    'MODEL_NONFINITE_WEIGHTS',
    model([matMul], { w: tensorFromBytes('float16', [2, 2], Uint8Array.of(0, 0, 0, 0x7c, 0, 0, 0, 0)) }),
  ],
  [
    'NaN in a double-precision weight',
    'MODEL_NONFINITE_WEIGHTS',
    model([matMul], { w: tensorFromBytes('float64', [1, 2], new Uint8Array(Float64Array.of(1, Number.NaN).buffer)) }),
  ],
];

function quantizing(node: Omit<TinyNode, 'op' | 'outputs'>, constants: Record<string, Tensor>): Model {
  const nodes = [
    { op: 'QuantizeLinear', outputs: ['q'], ...node },
    { op: 'DequantizeLinear', inputs: ['q', 's'], outputs: ['y'] },
  ];
  return model(nodes, constants, 21);
}

function castTo(dtype: number, input = 'x', constants: Record<string, Tensor> = {}): Model {
  const nodes = [
    { op: 'Cast', inputs: [input], outputs: ['q'], attributes: { to: intValue(dtype) } },
    { op: 'Cast', inputs: ['q'], outputs: ['back'], attributes: { to: intValue(1) } },
    { op: 'Add', inputs: ['x', 'back'], outputs: ['y'] },
  ];
  return model(nodes, constants, 21);
}

function castingFunction(dtype: number): Model {
  const cast = (input: string, output: string, to: Attribute): Node => ({
    name: `to_${output}`,
    opType: 'Cast',
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: new Map([['to', to]]),
  });
  const nodes = [cast('v0', 'v1', { kind: 'ref', value: 'type', type: 2 }), cast('v1', 'v2', intValue(1))];
  return changed(calling([definition('f0', nodes)]), (m) => m.graph.nodes[0]!.attributes.set('type', intValue(dtype)));
}

for (const [what, code, bad] of refused) {
  test(`${what} is refused: ${code}`, async () => {
    assert.equal(await outcomeOf(validateModel(bad)), code);
  });
}

const accepted: readonly (readonly [string, Model])[] = [
  ['a plain model', model([matMul], { w: weight(Array(16).fill(1)) })],
  ['opset 7', model([relu('x', 'y')], {}, 7)],
  [
    'opset 26 with IR version 13',
    changed(model([relu('x', 'y')], {}, 26), (m) => {
      m.irVersion = 13;
    }),
  ],
  ['left-out inputs and outputs', model([{ op: 'Clip', inputs: ['x', '', 'w'], outputs: ['y'] }], { w: scale })],
  ['functions within the limits', tower(16, 1)],
  ['branches that use outer values', model([ifNode(body([relu('x', 'a')], 'a'), body([relu('x', 'b')], 'b'))], yes)],
  [
    '4-bit weights',
    model([{ op: 'DequantizeLinear', inputs: ['q', 's'], outputs: ['w'] }, matMul], { q: packed4, s: scale }, 21),
  ],
  [
    '4-bit weights that are transposed first',
    model(
      [
        { op: 'Transpose', inputs: ['q'], outputs: ['t'] },
        { op: 'DequantizeLinear', inputs: ['t', 's'], outputs: ['w'] },
        matMul,
      ],
      { q: packed4, s: scale },
      21,
    ),
  ],
  ['constants cast to 4 bits', castTo(INT4, 'c', { c: scalarFloat(1) })],
  ['a function that casts to 16 bits by its attribute', castingFunction(10)],
  ['minus infinity in a mask', model([{ ...matMul, op: 'Add' }], { w: infinite })],
  ['a scalar NaN', model([{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }], { w: scalarFloat(Number.NaN) })],
  [
    'an imported domain that no node uses',
    changed(model([relu('x', 'y')]), (m) => m.opsetImports.set('ai.onnx.training', 1)),
  ],
];
for (const [what, good] of accepted) {
  test(`${what} is accepted`, async () => {
    assert.equal(await outcomeOf(validateModel(good)), 'ok');
  });
}

test('messages name the node, the tensor and the element', async () => {
  const bad = model([matMul], { w: nan });
  await assert.rejects(validateModel(bad), (error: unknown) => {
    assert.ok(error instanceof TritforgeError);
    assert.equal(error.message, 'The constant w of node fc (MatMul) has NaN at element 9');
    assert.deepEqual([error.context.node, error.context.opType, error.context.field], ['fc', 'MatMul', 'w']);
    assert.ok(error.context.remediation);
    return true;
  });
});

test('a bomb of 10^48 nodes is refused at once', async () => {
  const bomb = tower(16, 1000);
  const start = performance.now();
  assert.equal(await outcomeOf(validateModel(bomb)), 'MODEL_TOO_MANY_NODES');
  assert.ok(performance.now() - start < 1000);
});

test('a long chain of nodes neither overflows the stack nor takes long', async () => {
  const count = 50_000;
  const nodes = Array.from({ length: count }, (_, i) =>
    relu(i === 0 ? 'x' : `v${i - 1}`, i === count - 1 ? 'y' : `v${i}`),
  );
  const start = performance.now();
  assert.equal(await outcomeOf(validateModel(model(nodes.reverse()))), 'ok');
  assert.ok(performance.now() - start < 2000);
});

test('subgraphs deeper than the limit are refused', async () => {
  let branch = body([relu('x', 'a')], 'a');
  for (let level = 0; level < 17; level++) {
    branch = body([{ ...ifNode(branch, body([relu('x', 'b')], 'b')), outputs: ['a'] }], 'a');
  }
  const deep = model([ifNode(branch, body([relu('x', 'b')], 'b'))], yes);
  assert.equal(await outcomeOf(validateModel(deep)), 'MODEL_TOO_DEEP');
});

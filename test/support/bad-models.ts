import { type FormEntries, file } from './http.js';
import { classifier, externalWeight, hugeConstant, identity, matMul, matMulGraph } from './models.js';
import {
  attribute,
  DATA_TYPE,
  floats,
  type GraphFields,
  graph,
  int64s,
  model,
  modelFunction,
  node,
  tensor,
  value,
} from './onnx-bytes.js';
import { randomBytes } from './random.js';

/** An upload that must be refused, and the code it must be refused with. */
export interface BadUpload {
  readonly what: string;
  readonly code: string;
  readonly parts: FormEntries;
}

const NODE_COUNT = 12;
const xy = { inputs: [value('x', ['N', 4])], outputs: [value('y', ['N', 4])] };
const withNodes = (nodes: readonly Buffer[], initializers: readonly Buffer[] = []): Buffer =>
  model({ ...xy, nodes, initializers });

/** A model with one bad thing, as the only part. */
const alone = (what: string, code: string, content: Buffer): BadUpload => ({
  what,
  code,
  parts: [['model', file(content, 'model.onnx')]],
});

/** A model whose weight lies in a file that the form brings as `dataName`. */
const withData = (what: string, code: string, weight: Buffer, dataName: string, data: Buffer): BadUpload => ({
  what,
  code,
  parts: [
    ['model', file(matMul(weight), 'model.onnx')],
    ['data', file(data, dataName)],
  ],
});

/** Where external data must not lie. */
const LEADING_ELSEWHERE: readonly string[] = [
  ...['', '.', './.', '..', './../b', 'a/../../b', 'a//b', 'a/', 'a/'.repeat(2000)],
  ...['..\\b', 'C:\\b', 'c:b', '\\\\host\\b', 'a\0b', 'file:///etc/passwd'],
];

/** Models that must not pass their inspection. */
export const BAD_MODELS: readonly BadUpload[] = [
  alone('an empty file', 'UPLOAD_EMPTY', Buffer.alloc(0)),
  alone('a truncated model', 'MODEL_TRUNCATED', classifier().subarray(0, 20_000)),
  alone('random bytes', 'MODEL_NOT_ONNX', randomBytes(3, 4096)),
  alone('a web page', 'MODEL_NOT_ONNX', Buffer.from('<!doctype html><title>Sign in</title>'.repeat(30))),
  alone('zeros', 'MODEL_NOT_ONNX', Buffer.alloc(5000)),
  alone('a weight with too few bytes', 'MODEL_TENSOR_SIZE_MISMATCH', matMul(lyingWeight([4, 4], 60))),
  alone('a weight with too many bytes', 'MODEL_TENSOR_SIZE_MISMATCH', matMul(lyingWeight([4, 4], 4000))),
  alone('a weight with a negative dimension', 'MODEL_TENSOR_SIZE_MISMATCH', matMul(lyingWeight([-4, 4], 64))),
  alone('a weight of 2^62 elements', 'MODEL_TENSOR_TOO_LARGE', matMul(lyingWeight([2n ** 31n, 2n ** 31n], 64))),
  alone('a weight with NaN', 'MODEL_NONFINITE_WEIGHTS', matMul(floats('w', [4, 4], Array(16).fill(Number.NaN)))),
  alone('external data above the folder', 'MODEL_EXTERNAL_DATA_ESCAPES', matMul(externalWeight('../secret.bin'))),
  alone('external data at an absolute path', 'MODEL_EXTERNAL_DATA_ESCAPES', matMul(externalWeight('/etc/passwd'))),
  ...LEADING_ELSEWHERE.map((location, at) =>
    alone(`external data that leads elsewhere, ${at}`, 'MODEL_EXTERNAL_DATA_ESCAPES', matMul(externalWeight(location))),
  ),
  ...['%2e%2e/b', '~/b'].map((location, at) =>
    alone(`external data of a strange name, ${at}`, 'MODEL_EXTERNAL_DATA_MISSING', matMul(externalWeight(location))),
  ),
  alone('external data of a name of 5000 characters', 'MODEL_INVALID', matMul(externalWeight('x'.repeat(5000)))),
  alone('external data that is missing', 'MODEL_EXTERNAL_DATA_MISSING', matMul(externalWeight('weights.bin'))),
  withData(
    'external data beyond the end of its file',
    'MODEL_EXTERNAL_DATA_RANGE',
    externalWeight('weights.bin', 32),
    'weights.bin',
    Buffer.alloc(64),
  ),
  withData(
    'a data part with a name above the folder',
    'MODEL_EXTERNAL_DATA_ESCAPES',
    externalWeight('weights.bin'),
    '../weights.bin',
    Buffer.alloc(64),
  ),
  alone('an input of 4-bit integers', 'MODEL_UNSUPPORTED_DTYPE', identity(DATA_TYPE.int4)),
  alone(
    'a model without outputs',
    'MODEL_NO_OUTPUT',
    model({ inputs: xy.inputs, nodes: [node('Relu', ['x'], ['y'])] }),
  ),
  alone('a value that nothing makes', 'MODEL_INVALID', withNodes([node('Add', ['x', 'nowhere'], ['y'])])),
  alone(
    'a value that two nodes make',
    'MODEL_INVALID',
    withNodes([node('Relu', ['x'], ['y']), node('Neg', ['x'], ['y'], { name: 'again' })]),
  ),
  alone(
    'a cycle',
    'MODEL_CYCLIC',
    withNodes([node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Add', ['a', 'b'], ['y'])]),
  ),
  alone('an unknown operator', 'MODEL_UNKNOWN_OPERATOR', withNodes([node('Frobnicate', ['x'], ['y'])])),
  alone(
    'an unknown domain',
    'MODEL_UNKNOWN_DOMAIN',
    model({ ...xy, nodes: [node('Scale', ['x'], ['y'], { domain: 'com.example' })] }, { domains: ['com.example'] }),
  ),
  alone('opset 99', 'MODEL_UNSUPPORTED_OPSET', model({ ...matMulGraph, initializers: [unitWeight()] }, { opset: 99 })),
  alone('a constant of 16 TB', 'MODEL_TENSOR_TOO_LARGE', hugeConstant([4, 1024, 1024, 1024, 1024])),
  alone('a function bomb of 12 levels', 'MODEL_TOO_MANY_NODES', functionBomb(NODE_COUNT)),
  alone('functions that call each other', 'MODEL_TOO_DEEP', mutualRecursion()),
  alone('subgraphs nested 300 deep', 'MODEL_TOO_DEEP', nestedIfs(300)),
];

function lyingWeight(dims: readonly (number | bigint)[], rawBytes: number): Buffer {
  return tensor({ name: 'w', dims, raw: Buffer.alloc(rawBytes) });
}

function unitWeight(): Buffer {
  return floats('w', [4, 4], Array(16).fill(1));
}

/** Each function calls the one below ten times: 10^levels nodes when expanded. */
function functionBomb(levels: number): Buffer {
  const level = (index: number): Buffer => {
    const op = index === 0 ? 'Relu' : `f${index - 1}`;
    const domain = index === 0 ? '' : 'local';
    const steps = Array.from({ length: 10 }, (_, i) => node(op, [`v${i}`], [`v${i + 1}`], { domain }));
    return modelFunction(`f${index}`, ['v0'], ['v10'], steps);
  };
  const functions = Array.from({ length: levels }, (_, index) => level(index));
  return model({ ...xy, nodes: [node(`f${levels - 1}`, ['x'], ['y'], { domain: 'local' })] }, { functions });
}

function mutualRecursion(): Buffer {
  const calls = (name: string, other: string): Buffer =>
    modelFunction(name, ['a'], ['b'], [node(other, ['a'], ['b'], { domain: 'local' })]);
  const functions = [calls('ping', 'pong'), calls('pong', 'ping')];
  return model({ ...xy, nodes: [node('ping', ['x'], ['y'], { domain: 'local' })] }, { functions });
}

/** If nodes, each in a branch of the one above. */
function nestedIfs(depth: number): Buffer {
  let inner: GraphFields = { nodes: [node('Identity', ['x'], ['v0'])], outputs: [value('v0', ['N', 4])] };
  for (let level = 1; level <= depth; level++) {
    const branch = graph(inner);
    const attributes = [attribute.graph('then_branch', branch), attribute.graph('else_branch', leaf(level))];
    const out = `v${level}`;
    inner = { nodes: [node('If', ['condition'], [out], { attributes })], outputs: [value(out, ['N', 4])] };
  }
  const condition = tensor({ name: 'condition', dims: [], type: DATA_TYPE.bool, raw: Buffer.from([1]) });
  const nodes = [...inner.nodes, node('Identity', [`v${depth}`], ['y'])];
  return model({ ...xy, nodes, initializers: [condition] });
}

function leaf(level: number): Buffer {
  return graph({ nodes: [node('Neg', ['x'], [`e${level}`])], outputs: [value(`e${level}`, ['N', 4])] });
}

/** A Loop that never ends, around a convolution so that there is something to quantize. */
export function endlessLoop(): Buffer {
  const body = graph({
    inputs: [value('i', [], DATA_TYPE.int64), value('go', [], DATA_TYPE.bool), value('v', ['N', 4])],
    outputs: [value('go_on', [], DATA_TYPE.bool), value('v_next', ['N', 4])],
    nodes: [node('Identity', ['go'], ['go_on']), node('Identity', ['v'], ['v_next'])],
  });
  return model({
    ...xy,
    initializers: [
      floats('w', [4, 4], Array(16).fill(0.5)),
      int64s('trips', [], [2n ** 62n]),
      tensor({ name: 'yes', dims: [], type: DATA_TYPE.bool, raw: Buffer.from([1]) }),
    ],
    nodes: [
      node('MatMul', ['x', 'w'], ['m']),
      node('Loop', ['trips', 'yes', 'm'], ['y'], { attributes: [attribute.graph('body', body)] }),
    ],
  });
}

/** Fills a vector whose length, 2^42 or 16 TB, hangs on the values of its input: nothing shows before it runs. */
export function hungryModel(): Buffer {
  return model({
    ...xy,
    initializers: [floats('w', [4, 4], Array(16).fill(0.5)), floats('tera', [], [2 ** 42]), int64s('one', [1], [1])],
    nodes: [
      node('MatMul', ['x', 'w'], ['m']),
      node('ReduceMax', ['m'], ['top'], { attributes: [attribute.int('keepdims', 0)] }),
      node('Add', ['top', 'tera'], ['sum']),
      node('Cast', ['sum'], ['length'], { attributes: [attribute.int('to', DATA_TYPE.int64)] }),
      node('Reshape', ['length', 'one'], ['shape']),
      node('ConstantOfShape', ['shape'], ['huge']),
      node('ReduceMax', ['huge'], ['zero'], { attributes: [attribute.int('keepdims', 0)] }),
      node('Add', ['m', 'zero'], ['y']),
    ],
  });
}

import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { readFloats, readInts, readTensor } from '../ir/index.js';
import { seededRandom } from '../testing/random.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { readModel } from './read-model.js';
import { bytesField, encodeModel, outcomeOf, saveModel, varintField } from './testing.js';
import type { TensorProtoSchema } from './wire/onnx_pb.js';

type TensorInit = MessageInitShape<typeof TensorProtoSchema>;

const INT8 = 3;
const FLOAT = 1;
const INT64 = 7;

function withInitializer(tensor: TensorInit): Uint8Array {
  return encodeModel({ graph: { initializer: [{ name: 'w', ...tensor }] } });
}

const external = (entries: Record<string, string>): TensorInit => ({
  dims: [4n],
  dataType: FLOAT,
  dataLocation: 1,
  externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
});

test('a model that ends at any byte is never taken for a whole one', async (t) => {
  const folder = temporaryFolder(t);
  const node = { input: ['x', 'w'], output: ['y'], opType: 'Add', attribute: [{ name: 'axis', type: 2, i: 1n }] };
  const bytes = encodeModel({
    producerName: 'test',
    graph: {
      name: 'g',
      node: [node],
      initializer: [{ name: 'w', dims: [1200n], dataType: FLOAT, rawData: new Uint8Array(4800) }],
      input: [{ name: 'x' }],
      output: [{ name: 'y' }],
    },
  });
  // Fields are written in the order of their numbers: what follows the graph are the opset imports.
  const opsetBytes = bytesField(8, [...bytesField(1, []), ...varintField(2, 17)]).length;
  const graphEnd = bytes.byteLength - opsetBytes;
  const outcomes = new Map<string, number>();
  for (let length = 0; length < bytes.byteLength; length++) {
    // Inside the weight one byte is like the next.
    if (length > 400 && length < 4600 && length % 97 !== 0) continue;
    const outcome = await outcomeOf(readModel(saveModel(folder, bytes.subarray(0, length))));
    // Only where the file ends between two fields after the graph is there nothing missing that a reader could know of.
    if (length === graphEnd) assert.equal(outcome, 'ok');
    else assert.match(outcome, /^MODEL_(TRUNCATED|NOT_ONNX)$/, `at ${length} bytes`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.ok(outcomes.get('MODEL_TRUNCATED')! > 400);
});

test('the message of a truncated model says at which byte and in what it ends', async (t) => {
  const bytes = withInitializer({ dims: [4096n], dataType: FLOAT, rawData: new Uint8Array(16384) });
  const path = saveModel(temporaryFolder(t), bytes.subarray(0, 10_000));
  await assert.rejects(readModel(path), {
    code: 'MODEL_TRUNCATED',
    message: 'The file ends at byte 10000, inside raw_data of graph.initializer',
  });
});

test('flipped bits end in a model or in an error with a code, never in anything else', async (t) => {
  const folder = temporaryFolder(t);
  const random = seededRandom(11);
  const original = encodeModel({
    graph: {
      node: [{ input: ['x'], output: ['y'], opType: 'If', attribute: [{ name: 'g', type: 5, g: { name: 'inner' } }] }],
      initializer: [
        { name: 'a', dims: [3n], dataType: INT64, int64Data: [1n, -1n, 7n] },
        { name: 'b', dims: [5000n], dataType: INT8, int32Data: Array(5000).fill(-3) },
      ],
      valueInfo: [{ name: 'y', type: { value: { case: 'tensorType', value: { elemType: 1, shape: { dim: [] } } } } }],
    },
  });
  const outcomes = new Set<string>();
  for (let round = 0; round < 400; round++) {
    const bytes = original.slice();
    // The weight is most of the file; most flips should hit the structure.
    const range = round % 4 === 0 ? bytes.byteLength : 120;
    for (let flips = 0; flips < 1 + (round % 3); flips++) {
      bytes[Math.floor(random() * range)]! ^= 1 << Math.floor(random() * 8);
    }
    outcomes.add(await outcomeOf(readModel(saveModel(folder, bytes))));
  }
  for (const code of ['ok', 'MODEL_INVALID', 'MODEL_TRUNCATED', 'MODEL_NOT_ONNX']) assert.ok(outcomes.has(code), code);
});

const notModels: readonly (readonly [string, Uint8Array])[] = [
  ['an empty file', new Uint8Array(0)],
  ['zeros', new Uint8Array(5000)],
  ['text', Buffer.from('hello, this is not a model')],
  ['a zip archive', Buffer.from('504b0304140000000800', 'hex')],
  ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')],
  ['a message without a graph', encodeModel({})],
  ['a graph without an IR version', Uint8Array.from(bytesField(7, bytesField(2, [103])))],
];
for (const [what, bytes] of notModels) {
  test(`${what} is not ONNX`, async (t) => {
    assert.equal(await outcomeOf(readModel(saveModel(temporaryFolder(t), bytes))), 'MODEL_NOT_ONNX');
  });
}

const graphOf = (content: number[]) => Uint8Array.from([...varintField(1, 8), ...bytesField(7, content)]);
const damaged: readonly (readonly [string, string, Uint8Array])[] = [
  [
    'a field longer than its message',
    'MODEL_INVALID',
    Uint8Array.from([8, 8, 0x3a, 3, 0x12, 60, 0, 0x42, ...Array(80).fill(0)]),
  ],
  ['a group', 'MODEL_INVALID', graphOf([0x0b, 0x0c])],
  ['a string where a number belongs', 'MODEL_INVALID', graphOf(bytesField(5, bytesField(2, [1, 2, 3])))],
  ['field number 0', 'MODEL_INVALID', graphOf([0x02, 0x01, 0x00])],
  ['a number of eleven bytes', 'MODEL_INVALID', graphOf(bytesField(5, [0x10, ...Array(10).fill(255), 1]))],
  ['a name that is not UTF-8', 'MODEL_INVALID', graphOf(bytesField(2, [0xff, 0xfe]))],
  ['the field that stands for skipped data', 'MODEL_INVALID', graphOf(bytesField(5, varintField(536_870_000, 0)))],
  [
    'two initializers of one name',
    'MODEL_INVALID',
    encodeModel({ graph: { initializer: [tensorNamed('w'), tensorNamed('w')] } }),
  ],
  ['an initializer without a name', 'MODEL_INVALID', encodeModel({ graph: { initializer: [tensorNamed('')] } })],
  [
    'data in two fields',
    'MODEL_INVALID',
    withInitializer({ dims: [1n], dataType: FLOAT, rawData: new Uint8Array(4), floatData: [1] }),
  ],
  [
    'floats in the field for integers',
    'MODEL_INVALID',
    withInitializer({ dims: [1n], dataType: FLOAT, int64Data: [1n] }),
  ],
  ['a tensor without an element type', 'MODEL_INVALID', withInitializer({ dims: [1n], rawData: new Uint8Array(4) })],
  [
    'an element type of tomorrow',
    'MODEL_UNSUPPORTED_DTYPE',
    withInitializer({ dims: [1n], dataType: 28, rawData: new Uint8Array(1) }),
  ],
  [
    'a tensor with a byte too few',
    'MODEL_TENSOR_SIZE_MISMATCH',
    withInitializer({ dims: [2n], dataType: FLOAT, rawData: new Uint8Array(7) }),
  ],
  [
    'a large tensor with a byte too many',
    'MODEL_TENSOR_SIZE_MISMATCH',
    withInitializer({ dims: [2000n], dataType: FLOAT, rawData: new Uint8Array(8001) }),
  ],
  ['a tensor without data', 'MODEL_TENSOR_SIZE_MISMATCH', withInitializer({ dims: [2n], dataType: FLOAT })],
  [
    'a tensor of 65 dimensions',
    'MODEL_INVALID',
    withInitializer({ dims: Array(65).fill(1n), dataType: FLOAT, floatData: [1] }),
  ],
  ['a negative dimension', 'MODEL_TENSOR_SIZE_MISMATCH', withInitializer({ dims: [-2n], dataType: FLOAT })],
  [
    'too few packed integers',
    'MODEL_TENSOR_SIZE_MISMATCH',
    withInitializer({ dims: [5001n], dataType: INT8, int32Data: Array(5000).fill(1) }),
  ],
  [
    'dimensions whose product overflows',
    'MODEL_TENSOR_TOO_LARGE',
    withInitializer({ dims: [1n << 32n, 1n << 32n, 0n], dataType: FLOAT }),
  ],
  [
    'a dimension of 2^62',
    'MODEL_TENSOR_TOO_LARGE',
    withInitializer({ dims: [1n << 62n], dataType: FLOAT, rawData: new Uint8Array(4) }),
  ],
];
for (const [what, code, bytes] of damaged) {
  test(`${what} is refused: ${code}`, async (t) => {
    assert.equal(await outcomeOf(readModel(saveModel(temporaryFolder(t), bytes))), code);
  });
}

function tensorNamed(name: string): TensorInit {
  return { name, dims: [1n], dataType: FLOAT, floatData: [1] };
}

test('every typed field becomes the bytes that raw_data would hold, small and large', async (t) => {
  for (const count of [3, 3000]) {
    const ints = Array.from({ length: count }, (_, i) => (i % 200) - 100);
    const bytes = encodeModel({
      graph: {
        initializer: [
          { name: 'float', dims: [BigInt(count)], dataType: 1, floatData: ints },
          { name: 'double', dims: [BigInt(count)], dataType: 11, doubleData: ints },
          { name: 'int8', dims: [BigInt(count)], dataType: 3, int32Data: ints },
          { name: 'int16', dims: [BigInt(count)], dataType: 5, int32Data: ints },
          { name: 'int32', dims: [BigInt(count)], dataType: 6, int32Data: ints },
          { name: 'int64', dims: [BigInt(count)], dataType: 7, int64Data: ints.map((n) => BigInt(n) << 40n) },
          { name: 'uint32', dims: [BigInt(count)], dataType: 12, uint64Data: ints.map((n) => BigInt(n + 100) << 24n) },
          {
            name: 'uint64',
            dims: [BigInt(count)],
            dataType: 13,
            uint64Data: ints.map((n) => BigInt.asUintN(64, BigInt(n))),
          },
          { name: 'half', dims: [BigInt(count)], dataType: 10, int32Data: ints.map(() => 0x3e00) },
          { name: 'int4', dims: [2n * BigInt(count)], dataType: 22, int32Data: ints.map(() => 0x7f) },
        ],
      },
    });
    const { initializers } = (await readModel(saveModel(temporaryFolder(t), bytes))).graph;
    const intsOf = async (name: string) => await readInts(initializers.get(name)!);
    assert.deepEqual(await readFloats(initializers.get('float')!), Float32Array.from(ints));
    assert.deepEqual(await readFloats(initializers.get('double')!), Float32Array.from(ints));
    assert.deepEqual(await intsOf('int8'), ints.map(BigInt));
    assert.deepEqual(await intsOf('int16'), ints.map(BigInt));
    assert.deepEqual(await intsOf('int32'), ints.map(BigInt));
    assert.deepEqual(
      await intsOf('int64'),
      ints.map((n) => BigInt(n) << 40n),
    );
    assert.deepEqual(
      await intsOf('uint32'),
      ints.map((n) => BigInt(n + 100) << 24n),
    );
    assert.deepEqual(
      await intsOf('uint64'),
      ints.map((n) => BigInt.asUintN(64, BigInt(n))),
    );
    assert.deepEqual(await readFloats(initializers.get('half')!), new Float32Array(count).fill(1.5));
    assert.deepEqual((await intsOf('int4')).slice(0, 4), [-1n, 7n, -1n, 7n]);
  }
});

test('large raw data and packed floats stay in the file', async (t) => {
  const raw = Uint8Array.from({ length: 8192 }, (_, i) => i);
  const bytes = encodeModel({
    graph: {
      initializer: [
        { name: 'raw', dims: [2048n], dataType: FLOAT, rawData: raw },
        { name: 'packed', dims: [2048n], dataType: FLOAT, floatData: Array(2048).fill(0.25) },
        { name: 'small', dims: [4n], dataType: FLOAT, rawData: raw.subarray(0, 16) },
      ],
    },
  });
  const { initializers } = (await readModel(saveModel(temporaryFolder(t), bytes))).graph;
  assert.deepEqual(
    Array.from(initializers.values(), ({ data }) => data.kind),
    ['file', 'file', 'memory'],
  );
  assert.deepEqual(await readTensor(initializers.get('raw')!), raw);
  assert.deepEqual(await readFloats(initializers.get('packed')!), new Float32Array(2048).fill(0.25));
});

test('external data is read from beside the model, at its offset', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'sub', 'data'), Float32Array.from([9, 9, 1, 2, 3, 4]));
  const path = saveModel(folder, withInitializer(external({ location: './sub/data', offset: '8', length: '16' })));
  const weight = (await readModel(path)).graph.initializers.get('w')!;
  assert.deepEqual(await readFloats(weight), Float32Array.of(1, 2, 3, 4));
});

const externalCases: readonly (readonly [string, string, Record<string, string>])[] = [
  ['in a missing file', 'MISSING', { location: 'nothing.bin' }],
  ['above the folder', 'ESCAPES', { location: '../data' }],
  ['above the folder by a detour', 'ESCAPES', { location: 'sub/../../data' }],
  ['at an absolute path', 'ESCAPES', { location: '/etc/hostname' }],
  ['at a Windows path', 'ESCAPES', { location: 'C:\\data' }],
  ['behind a backslash', 'ESCAPES', { location: '..\\data' }],
  ['behind a symbolic link', 'ESCAPES', { location: 'link' }],
  ['behind a linked folder', 'ESCAPES', { location: 'linked/data' }],
  ['in a folder', 'ESCAPES', { location: 'sub' }],
  ['in a device', 'ESCAPES', { location: 'sub/device' }],
  ['without a location', 'ESCAPES', {}],
  ['with a NUL in the location', 'ESCAPES', { location: 'data\0' }],
  ['beyond the end', 'RANGE', { location: 'data', offset: '4', length: '16' }],
  ['from beyond the end', 'RANGE', { location: 'data', offset: '99999999999' }],
  ['at a negative offset', 'RANGE', { location: 'data', offset: '-4' }],
  ['at an offset that is no number', 'RANGE', { location: 'data', offset: '0x0' }],
  ['at an offset beyond 2^53', 'RANGE', { location: 'data', offset: '9999999999999999' }],
];
for (const [what, code, entries] of externalCases) {
  test(`external data ${what} is refused: MODEL_EXTERNAL_DATA_${code}`, async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'data'), new Uint8Array(16));
    writeFileSync(join(folder, 'sub', 'data'), new Uint8Array(16));
    symlinkSync(join(folder, 'data'), join(folder, 'link'));
    symlinkSync(join(folder, 'sub'), join(folder, 'linked'));
    symlinkSync('/dev/zero', join(folder, 'sub', 'device'));
    const path = saveModel(folder, withInitializer(external(entries)));
    assert.equal(await outcomeOf(readModel(path)), `MODEL_EXTERNAL_DATA_${code}`);
  });
}

test('external data of another length than the shape says is refused', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'data'), new Uint8Array(64));
  const path = saveModel(folder, withInitializer(external({ location: 'data' })));
  assert.equal(await outcomeOf(readModel(path)), 'MODEL_TENSOR_SIZE_MISMATCH');
});

test('nodes without a name get one that depends on the file only, and shared names become unique', async (t) => {
  const node = (name: string, output: string) => ({ name, opType: 'Relu', input: ['x'], output: [output] });
  const nodes = [node('', 'a'), node('Relu_0', 'b'), node('act', 'c'), node('act', 'd'), node('', 'e')];
  const model = await readModel(saveModel(temporaryFolder(t), encodeModel({ graph: { node: nodes } })));
  assert.deepEqual(
    model.graph.nodes.map((read) => read.name),
    ['Relu_1', 'Relu_0', 'act', 'act_0', 'Relu_2'],
  );
});

test('nodes that a file has out of order are sorted', async (t) => {
  const nodes = [
    { name: 'second', opType: 'Relu', input: ['a'], output: ['y'] },
    { name: 'first', opType: 'Relu', input: ['x'], output: ['a'] },
  ];
  const model = await readModel(saveModel(temporaryFolder(t), encodeModel({ graph: { node: nodes } })));
  assert.deepEqual(
    model.graph.nodes.map((node) => node.name),
    ['first', 'second'],
  );
});

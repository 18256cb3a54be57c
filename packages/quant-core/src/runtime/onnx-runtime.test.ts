import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TritforgeError } from '@tritforge/contracts';
import { type DataType, tensorFromInt64 } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import { floats } from '../testing/memory-dataset.js';
import { tinyModel } from '../testing/tiny-model.js';
import { createOnnxRuntime, onnxruntimeVersion } from './onnx-runtime.js';
import type { HostTensor } from './runtime.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritforge-runtime-'));
});
after(() => rm(folder, { recursive: true }));

const runtime = createOnnxRuntime();
const OPTIONS = { threads: 1, optimization: 'none' } as const;

async function load(
  model: Parameters<typeof writeModel>[0],
  name: string,
  options: Parameters<typeof runtime.load>[1] = OPTIONS,
) {
  const path = join(folder, `${name}.onnx`);
  await writeModel(model, path);
  return runtime.load(path, options);
}

const TENSORS: readonly HostTensor[] = [
  { dtype: 'float32', shape: [2, 1], data: Float32Array.of(-0.5, 3) },
  { dtype: 'float64', shape: [2, 1], data: Float64Array.of(1e300, -2) },
  { dtype: 'float16', shape: [2, 1], data: Uint16Array.of(0x3c00, 0xc000) },
  { dtype: 'int8', shape: [2, 1], data: Int8Array.of(-128, 127) },
  { dtype: 'uint8', shape: [2, 1], data: Uint8Array.of(0, 255) },
  { dtype: 'int16', shape: [2, 1], data: Int16Array.of(-32768, 1) },
  { dtype: 'uint16', shape: [2, 1], data: Uint16Array.of(65535, 1) },
  { dtype: 'int32', shape: [2, 1], data: Int32Array.of(-(2 ** 31), 1) },
  { dtype: 'uint32', shape: [2, 1], data: Uint32Array.of(2 ** 32 - 1, 1) },
  { dtype: 'int64', shape: [2, 1], data: BigInt64Array.of(-(2n ** 63n), 1n) },
  { dtype: 'uint64', shape: [2, 1], data: BigUint64Array.of(2n ** 64n - 1n, 1n) },
  { dtype: 'bool', shape: [2, 1], data: Uint8Array.of(1, 0) },
  { dtype: 'string', shape: [2, 1], data: ['ternary', 'Gewichte'] },
];

for (const tensor of TENSORS) {
  test(`a ${tensor.dtype} tensor goes through a model unchanged`, async () => {
    const model = tinyModel({
      inputs: [['x', tensor.dtype, ['N', 1]]],
      outputs: [['y', tensor.dtype, ['N', 1]]],
      nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    });
    const session = await load(model, tensor.dtype);
    assert.deepEqual(session.inputs, [{ name: 'x', dtype: tensor.dtype, shape: ['N', 1] }]);
    const outputs = await session.run(new Map([['x', tensor]]));
    assert.deepEqual(outputs.get('y'), tensor);
    await session.release();
  });
}

test('an empty tensor and a scalar keep their shapes', async () => {
  const session = await load(twoInputs('float32'), 'shapes');
  const feeds = new Map([
    ['a', floats([0, 3], [])],
    ['b', floats([], [4])],
  ]);
  assert.deepEqual(
    [...(await session.run(feeds)).values()].map(({ shape }) => shape),
    [[0, 3], []],
  );
  await session.release();
});

test('only the outputs asked for are returned', async () => {
  const session = await load(twoInputs('float32'), 'fetches');
  const feeds = new Map([
    ['a', floats([1], [1])],
    ['b', floats([1], [2])],
  ]);
  assert.deepEqual([...(await session.run(feeds, ['d'])).keys()], ['d']);
  await session.release();
});

function twoInputs(dtype: DataType) {
  return tinyModel({
    inputs: [
      ['a', dtype, null],
      ['b', dtype, null],
    ],
    outputs: [
      ['c', dtype, null],
      ['d', dtype, null],
    ],
    nodes: [
      { op: 'Identity', inputs: ['a'], outputs: ['c'] },
      { op: 'Identity', inputs: ['b'], outputs: ['d'] },
    ],
  });
}

test('a node that fails while running is named with its operator, without paths of the build machine', async () => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', ['N']],
      ['size', 'int64', [2]],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Reshape', name: 'fold rows', inputs: ['x', 'size'], outputs: ['y'] }],
  });
  const session = await load(model, 'failing');
  const size: HostTensor = { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n, 2n) };
  await assert.rejects(
    session.run(
      new Map([
        ['x', floats([3], [1, 2, 3])],
        ['size', size],
      ]),
    ),
    (error: TritforgeError) => {
      assert.equal(error.code, 'MODEL_RUN_FAILED');
      assert.equal(error.context.node, 'fold rows');
      assert.equal(error.context.opType, 'Reshape');
      assert.doesNotMatch(error.message, /onnxruntime_src/);
      return true;
    },
  );
  await session.release();
});

test('an operator that onnxruntime lacks is named when the model is loaded', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N']]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Frobnicate', name: 'odd one', inputs: ['x'], outputs: ['y'] }],
  });
  await assert.rejects(load(model, 'unknown'), (error: TritforgeError) => {
    assert.equal(error.code, 'MODEL_RUN_FAILED');
    assert.equal(error.context.opType, 'Frobnicate');
    return true;
  });
});

test('types that do not fit are refused with the file in the message', async () => {
  const model = tinyModel({
    inputs: [['x', 'int64', ['N']]],
    outputs: [['y', 'int64', null]],
    nodes: [{ op: 'Add', inputs: ['x', 'one'], outputs: ['y'] }],
    constants: { one: tensorFromInt64([], [1]) },
  });
  const session = await load(model, 'typed');
  await assert.rejects(session.run(new Map([['x', floats([1], [1])]])), {
    code: 'MODEL_RUN_FAILED',
    message: /typed\.onnx/,
  });
  await assert.rejects(session.run(new Map()), { code: 'MODEL_RUN_FAILED', message: /'x' is missing/ });
  await session.release();
});

test('a file that is no model is refused', async () => {
  const path = join(folder, 'text.onnx');
  await writeFile(path, 'not a model');
  await assert.rejects(runtime.load(path, OPTIONS), { code: 'MODEL_RUN_FAILED' });
  await assert.rejects(runtime.load(join(folder, 'missing.onnx'), OPTIONS), { code: 'MODEL_RUN_FAILED' });
});

test("the engine's own settings reach it", async () => {
  const model = twoInputs('float32');
  await assert.rejects(
    load(model, 'settings', { ...OPTIONS, threads: 2, config: { 'session.intra_op_thread_affinities': 'nonsense' } }),
    /Processor id must consist of only digits/,
  );
});

test('a session can be released twice', async () => {
  const session = await load(twoInputs('float32'), 'release');
  await session.release();
  await session.release();
});

test('telemetry is off before the library is loaded, and the engine names its version', async () => {
  assert.equal(process.env.ORT_DISABLE_TELEMETRY, '1');
  assert.equal(runtime.engine, `onnxruntime ${onnxruntimeVersion()}`);
  assert.match(onnxruntimeVersion(), /^1\.\d+\.\d+$/);
});

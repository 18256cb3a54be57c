import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Model, readTensor, tensorFromBytes, tensorFromFloats, tensorFromInt8 } from '../ir/index.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { readModel } from './read-model.js';
import { encodeModel, saveModel } from './testing.js';
import { ModelProtoSchema } from './wire/onnx_pb.js';
import { writeModel } from './write-model.js';

const large = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);

/** A message that sets every field of the format, and fields that the format does not have. */
function everything(): MessageInitShape<typeof ModelProtoSchema> {
  const metadataProps = [{ key: 'k', value: 'v' }];
  const docString = Uint8Array.of(0xff, 65);
  const $unknown = [{ no: 9999, wireType: 2, data: Uint8Array.of(3, 1, 2, 3) }];
  const unnamed = { dims: [2n], dataType: 1, floatData: [1, 2] };
  const sparse = {
    values: { name: 's', ...unnamed },
    indices: { dims: [2n], dataType: 7, int64Data: [0n, 5n] },
    dims: [9n],
  };
  const type = {
    denotation: 'IMAGE',
    value: {
      case: 'tensorType' as const,
      value: {
        elemType: 1,
        shape: {
          dim: [
            { value: { case: 'dimParam' as const, value: 'N' }, denotation: 'BATCH' },
            { value: { case: 'dimValue' as const, value: 0n } },
            { value: { case: 'dimValue' as const, value: -1n } },
            {},
          ],
        },
      },
    },
  };
  const sequence = { value: { case: 'sequenceType' as const, value: { elemType: type } } };
  const attributes = [
    { name: 'f', type: 1, f: 0, docString, $unknown },
    { name: 'i', type: 2, i: 0n },
    { name: 's', type: 3, s: Uint8Array.of(0xff) },
    {
      name: 't',
      type: 4,
      t: { name: 'inner', dims: [70_000n], dataType: 2, rawData: large, docString, metadataProps, $unknown },
    },
    {
      name: 'g',
      type: 5,
      g: { name: 'sub', node: [{ name: 'sub1', opType: 'Relu' }], initializer: [{ name: 'b', ...unnamed }] },
    },
    { name: 'floats', type: 6, floats: [0.5, Number.NaN, Number.NEGATIVE_INFINITY] },
    { name: 'ints', type: 7, ints: [-1n, 2n ** 62n] },
    { name: 'strings', type: 8, strings: [Uint8Array.of(1), new Uint8Array(0)] },
    { name: 'tensors', type: 9, tensors: [unnamed, unnamed] },
    { name: 'graphs', type: 10, graphs: [{ name: 'a' }, { name: 'b' }] },
    { name: 'sparse', type: 11, sparseTensor: sparse },
    { name: 'sparses', type: 12, sparseTensors: [sparse] },
    { name: 'tp', type: 13, tp: sequence },
    { name: 'tps', type: 14, typeProtos: [sequence, type] },
    { name: 'empty', type: 7 },
  ];
  const node = {
    name: 'n',
    opType: 'Op',
    domain: 'local',
    overload: 'o',
    input: ['x', ''],
    output: ['y'],
    attribute: attributes,
    docString,
    metadataProps,
    $unknown,
  };
  return {
    irVersion: 10n,
    producerName: 'p',
    producerVersion: '1',
    domain: 'd',
    modelVersion: 3n,
    docString,
    metadataProps,
    $unknown,
    opsetImport: [
      { domain: '', version: 21n },
      { domain: 'local', version: 1n },
    ],
    graph: {
      name: 'g',
      docString,
      metadataProps,
      $unknown,
      node: [node],
      initializer: [
        { name: 'w', dims: [70_000n], dataType: 2, rawData: large, docString, $unknown },
        { name: 'text', dims: [2n], dataType: 8, stringData: [Uint8Array.of(0xff), new Uint8Array(0)] },
      ],
      sparseInitializer: [sparse],
      input: [
        { name: 'x', type, docString, metadataProps, $unknown },
        { name: 'seq', type: sequence },
      ],
      output: [{ name: 'y', type }],
      valueInfo: [{ name: 'z', type }],
      quantizationAnnotation: [{ tensorName: 'w', quantParameterTensorNames: metadataProps }],
    },
    functions: [
      {
        name: 'Op',
        domain: 'local',
        overload: 'o',
        input: ['a'],
        output: ['b'],
        attribute: ['alpha'],
        attributeProto: [{ name: 'beta', type: 1, f: 0.5, docString }],
        node: [
          {
            name: 'inner',
            opType: 'Elu',
            input: ['a'],
            output: ['b'],
            attribute: [{ name: 'alpha', type: 1, refAttrName: 'alpha' }],
          },
        ],
        opsetImport: [{ domain: '', version: 21n }],
        docString,
        metadataProps,
        valueInfo: [{ name: 'b', type }],
        $unknown,
      },
    ],
  };
}

/** The message as our own writer would put it: typed data as raw bytes. */
async function rewritten(t: Parameters<typeof temporaryFolder>[0], bytes: Uint8Array): Promise<Uint8Array> {
  const folder = temporaryFolder(t);
  await writeModel(await readModel(saveModel(folder, bytes)), join(folder, 'copy.onnx'));
  return Uint8Array.from(readFileSync(join(folder, 'copy.onnx')));
}

/** Unknown fields are not part of what create() takes; this puts them in place. */
function withUnknown(init: unknown, message: unknown): void {
  if (typeof init !== 'object' || init === null || init instanceof Uint8Array) return;
  for (const [key, value] of Object.entries(init)) {
    if (key === '$unknown') Object.assign(message as object, { $unknown: value });
    else withUnknown(value, (message as Record<string, unknown>)[key]);
  }
}

test('reading and writing keeps everything, fields that nobody knows included', async (t) => {
  const init = everything();
  const message = create(ModelProtoSchema, init);
  withUnknown(init, message);
  // Typed data becomes raw data on the first way; the second way must not change a byte.
  const once = await rewritten(t, toBinary(ModelProtoSchema, message));
  const asRaw = (tensor: unknown) => {
    const typed = tensor as { floatData: number[]; int64Data: bigint[]; rawData?: Uint8Array };
    const list = typed.floatData.length > 0 ? Float32Array.from(typed.floatData) : BigInt64Array.from(typed.int64Data);
    if (list.length > 0) typed.rawData = new Uint8Array(list.buffer);
    typed.floatData = [];
    typed.int64Data = [];
  };
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
    if ('floatData' in value) asRaw(value);
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(message);
  // Raw data stands last in its tensor, where protobuf allows it as anywhere else: compare what the bytes mean.
  assert.deepEqual(
    fromBinary(ModelProtoSchema, once),
    fromBinary(ModelProtoSchema, toBinary(ModelProtoSchema, message)),
  );
  assert.deepEqual(await rewritten(t, once), once);
});

function weights(): Model {
  return tinyModel({
    inputs: [['x', 'float32', [1, 100]]],
    outputs: [['y', 'float32', [1, 100]]],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    constants: {
      w: tensorFromFloats(
        [100, 100],
        Float32Array.from({ length: 10_000 }, (_, i) => i),
      ),
      big: tensorFromInt8([70_000], new Int8Array(70_000).fill(3)),
      mid: tensorFromInt8([2000], new Int8Array(2000).fill(2)),
      small: tensorFromInt8([8], new Int8Array(8).fill(1)),
      none: tensorFromBytes('float32', [0, 4], new Uint8Array(0)),
    },
  });
}

async function sameWeights(copy: Model, original: Model): Promise<void> {
  assert.deepEqual([...copy.graph.initializers.keys()], [...original.graph.initializers.keys()]);
  for (const [name, tensor] of original.graph.initializers) {
    const read = copy.graph.initializers.get(name)!;
    assert.deepEqual([read.dtype, read.shape], [tensor.dtype, tensor.shape]);
    assert.deepEqual(Buffer.from(await readTensor(read)), Buffer.from(await readTensor(tensor)), name);
  }
}

test('the same model gives the same bytes, and the digest and size are those of the file', async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [join(folder, 'a.onnx'), join(folder, 'b.onnx')];
  const { files } = await writeModel(weights(), first);
  await writeModel(weights(), second);
  const bytes = readFileSync(first);
  assert.deepEqual(readFileSync(second), bytes);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  assert.deepEqual(files, [{ name: 'a.onnx', sizeBytes: bytes.byteLength, digest }]);
  await sameWeights(await readModel(first), weights());
});

test('external data goes to one aligned file beside the model, small constants stay inside', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'm.onnx');
  const { files } = await writeModel(weights(), path, { externalData: 'always' });
  assert.deepEqual(
    files.map(({ name }) => name),
    ['m.onnx', 'm.onnx.data'],
  );
  for (const { name, sizeBytes, digest } of files) {
    const bytes = readFileSync(join(folder, name));
    assert.equal(sizeBytes, bytes.byteLength);
    assert.equal(digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  }
  const copy = await readModel(path);
  await sameWeights(copy, weights());
  const offset = (name: string) => {
    const { data } = copy.graph.initializers.get(name)!;
    return data.kind === 'file' ? data.offset : null;
  };
  assert.deepEqual([offset('w'), offset('big'), offset('small')], [0, 40_960, null]);
});

test('a copy by reference holds no weight and finds them in the original', async (t) => {
  const folder = temporaryFolder(t);
  const source = join(folder, 'source.onnx');
  await writeModel(weights(), source);
  const path = join(folder, 'scratch.onnx');
  const { files } = await writeModel(await readModel(source), path, { externalData: 'by-reference' });
  assert.equal(files.length, 1);
  assert.ok(files[0]!.sizeBytes < 3000, `${files[0]!.sizeBytes} bytes`);
  await sameWeights(await readModel(path), weights());
});

test('a copy by reference in another folder links the weights there', async (t) => {
  const [folder, other] = [temporaryFolder(t), temporaryFolder(t)];
  const source = join(folder, 'source.onnx');
  await writeModel(weights(), source, { externalData: 'always' });
  for (let round = 0; round < 2; round++) {
    await writeModel(await readModel(source), join(other, 's.onnx'), { externalData: 'by-reference' });
  }
  assert.deepEqual(readdirSync(other).sort(), ['s.onnx', 's.onnx.weights0']);
  assert.equal(statSync(join(other, 's.onnx.weights0')).ino, statSync(`${source}.data`).ino);
  await sameWeights(await readModel(join(other, 's.onnx')), weights());
});

test('a model is not written over the file that its weights are in', async (t) => {
  const path = join(temporaryFolder(t), 'm.onnx');
  await writeModel(weights(), path);
  const model = await readModel(path);
  await assert.rejects(writeModel(model, path), /holds tensors of the model/);
  await assert.rejects(writeModel(model, path, { externalData: 'by-reference' }), /holds tensors of the model/);
  await sameWeights(await readModel(path), weights());
});

test('a write that fails leaves neither a part of the file nor the old one damaged', async (t) => {
  const folder = temporaryFolder(t);
  const source = join(folder, 'source.onnx');
  await writeModel(weights(), source);
  const model = await readModel(source);
  writeFileSync(source, new Uint8Array(10));
  const target = join(folder, 'target.onnx');
  writeFileSync(target, 'old');
  await assert.rejects(writeModel(model, target), { code: 'MODEL_TRUNCATED' });
  assert.equal(readFileSync(target, 'utf8'), 'old');
  assert.deepEqual(readdirSync(folder).sort(), ['source.onnx', 'target.onnx']);
});

test('a value whose type was changed is written with the new type', async (t) => {
  const folder = temporaryFolder(t);
  const bytes = encodeModel({
    graph: {
      input: [{ name: 'x', type: { value: { case: 'tensorType', value: { elemType: 1, shape: { dim: [{}] } } } } }],
    },
  });
  const model = await readModel(saveModel(folder, bytes));
  model.graph.inputs = model.graph.inputs.map((input) => ({ ...input, dtype: 'uint8', shape: ['N', 3, null] }));
  await writeModel(model, join(folder, 'copy.onnx'));
  const copy = await readModel(join(folder, 'copy.onnx'));
  assert.deepEqual(
    copy.graph.inputs.map(({ dtype, shape }) => [dtype, shape]),
    [['uint8', ['N', 3, null]]],
  );
});

test('writing through a hard link does not change the linked file', async (t) => {
  const folder = temporaryFolder(t);
  const [path, link] = [join(folder, 'm.onnx'), join(folder, 'link.onnx')];
  await writeModel(weights(), path);
  linkSync(path, link);
  const before = readFileSync(path);
  await writeModel(tinyModel({ inputs: [], outputs: [], nodes: [] }), link);
  assert.deepEqual(readFileSync(path), before);
  assert.ok(existsSync(link));
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import { readTensor, tensorChunks } from '../ir/index.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { readModel } from './read-model.js';
import { bytesField, encodeModel, outcomeOf, saveModel, varintBytes, varintField } from './testing.js';
import { ModelProtoSchema } from './wire/onnx_pb.js';
import { expand } from './write/expand.js';
import { GraphWriter } from './write/graph-writer.js';
import { InlinePayloads } from './write/payloads.js';

/** Files with holes: they have their size, but take no space. */

const GIB = 2 ** 30;

/** Writes a model whose only weight is `weightBytes` zeros inside the file. */
function saveSparseModel(path: string, weightBytes: number): void {
  const head = [...varintField(1, weightBytes / 4), ...varintField(2, 1), ...bytesField(8, Buffer.from('w'))];
  const rawHeader = [...varintBytes(9 * 8 + 2), ...varintBytes(weightBytes)];
  const tensorBytes = head.length + rawHeader.length + weightBytes;
  const tensorHeader = [...varintBytes(5 * 8 + 2), ...varintBytes(tensorBytes)];
  const graphHeader = [...varintBytes(7 * 8 + 2), ...varintBytes(tensorHeader.length + tensorBytes)];
  const start = Uint8Array.from([...varintField(1, 8), ...graphHeader, ...tensorHeader, ...head, ...rawHeader]);
  const file = openSync(path, 'w');
  writeSync(file, start);
  ftruncateSync(file, start.byteLength + weightBytes);
  const opset = Uint8Array.from(bytesField(8, varintField(2, 17)));
  writeSync(file, opset, 0, opset.byteLength, start.byteLength + weightBytes);
  closeSync(file);
}

test('external data beyond 2^32 bytes is read at its offset', async (t) => {
  const folder = temporaryFolder(t);
  const offset = 5 * GIB;
  const data = openSync(join(folder, 'weights.bin'), 'w');
  writeSync(data, Uint8Array.from([1, 2, 3, 4]), 0, 4, offset);
  ftruncateSync(data, offset + 3 * GIB);
  closeSync(data);
  const entries = (length: number) =>
    Object.entries({ location: 'weights.bin', offset, length }).map(([key, value]) => ({ key, value: String(value) }));
  const model = encodeModel({
    graph: {
      initializer: [
        { name: 'head', dims: [4n], dataType: 2, dataLocation: 1, externalData: entries(4) },
        { name: 'all', dims: [BigInt(3 * GIB)], dataType: 2, dataLocation: 1, externalData: entries(3 * GIB) },
      ],
    },
  });
  const { initializers } = (await readModel(saveModel(folder, model))).graph;
  assert.deepEqual(await readTensor(initializers.get('head')!), Uint8Array.of(1, 2, 3, 4));
  const all = initializers.get('all')!;
  assert.deepEqual(all.data, { kind: 'file', path: join(folder, 'weights.bin'), offset, byteLength: 3 * GIB });
  const { value: firstChunk } = await tensorChunks(all, 8).next();
  assert.deepEqual(firstChunk, Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0));
});

test('reading a model of 1.9 GB takes less than 32 MiB', (t) => {
  const path = join(temporaryFolder(t), 'model.onnx');
  saveSparseModel(path, 1.9 * 10 ** 9);
  const script = `
    const { readModel } = await import(${JSON.stringify(new URL('./read-model.js', import.meta.url).href)});
    const before = process.resourceUsage().maxRSS;
    const model = await readModel(${JSON.stringify(path)});
    console.log(JSON.stringify([model.graph.initializers.get('w').data.byteLength, process.resourceUsage().maxRSS - before]));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  const [weightBytes, growthKib] = JSON.parse(output) as [number, number];
  assert.equal(weightBytes, 1.9 * 10 ** 9);
  assert.ok(growthKib < 32 * 1024, `${growthKib} KiB`);
});

test('a cut in the data of a large model is found without reading it', async (t) => {
  const path = join(temporaryFolder(t), 'model.onnx');
  saveSparseModel(path, 2 * 10 ** 9);
  truncateSync(path, 10 ** 9);
  await assert.rejects(readModel(path), {
    code: 'MODEL_TRUNCATED',
    message: /ends at byte 1000000000, inside raw_data/,
  });
});

test('the writer keeps count beyond 2^32 bytes', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'model.onnx');
  saveSparseModel(path, 5 * GIB);
  const model = await readModel(path);
  const payloads = new InlinePayloads();
  const skeleton = toBinary(ModelProtoSchema, new GraphWriter(payloads).model(model));
  const { parts, sizeBytes } = expand(skeleton, payloads.list);
  // The copy has what the file has, and the empty name of the graph.
  const small = parts.filter((part) => part instanceof Uint8Array);
  assert.equal(sizeBytes, 5 * GIB + Buffer.concat(small).byteLength);
  assert.equal(parts.length - small.length, 1);
});

test('a file that only claims to be large is refused', async (t) => {
  const start = [...varintField(1, 8), ...varintBytes(7 * 8 + 2), ...varintBytes(2n ** 52n)];
  const path = saveModel(temporaryFolder(t), Uint8Array.from(start));
  assert.equal(await outcomeOf(readModel(path)), 'MODEL_TRUNCATED');
});

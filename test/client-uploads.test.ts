/** The TypeScript client and the command line with a service whose bucket they reach, over a line that breaks. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TritforgeClient, type UploadProgress } from '@tritforge/client';
import type { AuditEntry } from '@tritforge/contracts';
import { eventually } from './support/eventually.js';
import { expectJson } from './support/http.js';
import { externalWeight, matMul } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { freePort } from './support/started-service.js';
import { Wire } from './support/wire.js';

const MIB = 2 ** 20;
/** Five parts in two turns, the last one short. */
const SIZE_BYTES = 33 * MIB;
const folder = mkdtempSync(join(tmpdir(), 'tritforge-client-uploads-'));
const model = { path: join(folder, 'm.onnx'), data: [join(folder, 'w.bin')] };
let digest = '';

let stack: Stack;
/** Between clients and the bucket. */
let wire: Wire;
before(async () => {
  const weights = Buffer.alloc(SIZE_BYTES);
  for (let i = 1; i < SIZE_BYTES / MIB; i++) weights.fill(i, i * MIB, (i + 1) * MIB);
  writeFileSync(model.path, matMul(externalWeight('w.bin')));
  writeFileSync(model.data[0]!, weights);
  digest = `sha256:${createHash('sha256').update(weights).digest('hex')}`;
  wire = await Wire.to(`http://127.0.0.1:${await freePort()}`);
  stack = await startStack({ storage: 's3', env: { TRITFORGE_S3_PUBLIC_ENDPOINT: wire.url } });
  wire.leadTo(stack.storeConfig.s3!.endpoint!);
});
after(async () => {
  await wire.close();
  await stack.close();
  rmSync(folder, { recursive: true });
});

const clientWith = (options: { readonly retryMs?: number } = {}) =>
  new TritforgeClient({ url: stack.url, resumeFromBytes: MIB, ...options });

/** Which operations were asked for, the last ones first. */
async function actions(): Promise<string[]> {
  const { items } = await expectJson<{ items: AuditEntry[] }>(await stack.fetch('/audit?limit=20'), 200);
  return items.map(({ action }) => action);
}

test('a large file goes straight to the bucket over a line that breaks, and leaves no upload', async () => {
  const sent: UploadProgress[] = [];
  wire.cut({ direction: 'requests', afterBytes: 20 * MIB }, { direction: 'requests', afterBytes: 5 * MIB });
  const made = await clientWith().models.upload(model, { onUploadProgress: (progress) => sent.push(progress) });
  assert.equal(wire.cutsLeft, 0);
  assert.deepEqual(made.files[1], { name: 'w.bin', sizeBytes: SIZE_BYTES, digest });
  assert.deepEqual(sent.at(-1), { fileName: 'w.bin', sentBytes: SIZE_BYTES, sizeBytes: SIZE_BYTES });
  assert.ok(
    sent.some(({ sentBytes }, i) => sentBytes < (sent[i - 1]?.sentBytes ?? 0)),
    'some bytes were sent again',
  );
  const { rows, files } = await stack.footprint();
  assert.equal(rows.uploads, 0);
  assert.deepEqual(
    files.filter((path) => /uploads/.test(path)),
    [],
  );
  assert.ok(!(await actions()).includes('createUpload'));
  await stack.fetch(`/models/${made.id}`, { method: 'DELETE' });
});

test('where the bucket cannot be reached the file goes to the service, and the next one too', async () => {
  wire.down();
  try {
    const client = clientWith({ retryMs: 1000 });
    const made = await client.models.upload(model);
    assert.equal(made.files[1]!.digest, digest);
    await client.models.upload(model);
    assert.equal((await stack.footprint()).rows.uploads, 0);
    const asked = (await actions()).filter((action) => /^create(Direct)?Upload$/.test(action));
    assert.deepEqual(asked.slice(0, 3), ['createUpload', 'createUpload', 'createDirectUpload']);
    await stack.fetch(`/models/${made.id}`, { method: 'DELETE' });
  } finally {
    wire.leadTo(stack.storeConfig.s3!.endpoint!);
  }
});

test('an upload that is given up ends at once, and leaves nothing', async () => {
  const { files } = await stack.footprint();
  const abort = new AbortController();
  const uploading = clientWith().models.upload(model, {
    signal: abort.signal,
    onUploadProgress: ({ sentBytes }) => sentBytes > 4 * MIB && abort.abort(),
  });
  await assert.rejects(uploading, { name: 'AbortError' });
  await eventually(async () => {
    const left = await stack.footprint();
    return left.rows.uploads === 0 && left.files.join() === files.join();
  });
});

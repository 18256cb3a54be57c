import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { childInspector } from './child-inspector.js';
import { type ApiConfig, readConfig } from './config.js';
import { scratchDirOf } from './uploads/scratch.js';

let dataDir: string;
let path: string;
before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tritforge-inspector-'));
  path = join(dataDir, 'model.onnx');
  await writeFile(path, 'not a model at all');
});
after(() => rm(dataDir, { recursive: true, force: true }));

const inspector = (settings: Partial<ApiConfig> = {}) => childInspector({ ...readConfig({}), dataDir, ...settings });
const never = new AbortController().signal;
const failsWith = (code: string) => (error: unknown) => error instanceof TritforgeError && error.code === code;

test('a bad file is refused with what the engine says of it', async () => {
  await assert.rejects(inspector().inspectModel(path, never), failsWith('MODEL_NOT_ONNX'));
});

test('an inspection that takes too long is an error of the upload, not of a job', async () => {
  const slow = inspector({ inspectionSeconds: 0.01 });
  await assert.rejects(slow.inspectModel(path, never), failsWith('INSPECTION_TIMEOUT'));
  await assert.rejects(slow.inspectDataset({ path, preprocess: null }, never), failsWith('INSPECTION_TIMEOUT'));
});

test('an inspection that takes too much memory is an error of the upload', async () => {
  const small = inspector({ inspectionMemoryBytes: 2 ** 24 });
  await assert.rejects(small.inspectModel(path, never), failsWith('INSPECTION_MEMORY_EXCEEDED'));
});

test('an inspection whose client leaves ends with the reason', async () => {
  const client = new AbortController();
  const inspecting = inspector().inspectModel(path, client.signal);
  setTimeout(() => client.abort(new TritforgeError('UPLOAD_INCOMPLETE', 'gone')), 20);
  await assert.rejects(inspecting, failsWith('UPLOAD_INCOMPLETE'));
});

test('no inspection leaves anything behind', async () => {
  assert.deepEqual(await readdir(scratchDirOf({ dataDir })), []);
});

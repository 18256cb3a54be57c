import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type DatasetLimits, DEFAULT_DATASET_LIMITS } from './limits.js';
import { openDataset } from './open-dataset.js';
import { openTar } from './tar-archive.js';
import { tarBytes, testFile } from './testing/archives.js';
import { assertFails } from './testing/errors.js';
import { png } from './testing/images.js';

const data = Buffer.from('content');

async function open(t: TestContext, bytes: Uint8Array, limits: Partial<DatasetLimits> = {}) {
  const archive = await openTar(await testFile(t, bytes), { ...DEFAULT_DATASET_LIMITS, ...limits });
  t.after(() => archive.close());
  return archive;
}

test('members are read where they lie, long names and folders included', async (t) => {
  const long = `${'folder/'.repeat(30)}ü.png`;
  const archive = await open(
    t,
    await tarBytes([
      { name: 'folder', type: 'directory' },
      { name: './a', data },
      { name: long, data: Buffer.from('other') },
      { name: '._a', data },
      { name: 'empty', data: Buffer.alloc(0) },
    ]),
  );
  assert.deepEqual(
    archive.members.map(({ name }) => name),
    ['a', long, 'empty'],
  );
  const contents = await Promise.all(
    archive.members.map(async (member) => Buffer.from(await member.read()).toString()),
  );
  assert.deepEqual(contents, ['content', 'other', '']);
  const window = await archive.members[1]!.open();
  assert.equal(window.byteLength, 5);
});

test('unsafe paths, links and devices are refused by name', async (t) => {
  for (const name of ['/etc/passwd', '../up', 'a/../../up', 'a\\b']) {
    await assertFails(async () => open(t, await tarBytes([{ name, data }])), 'DATASET_PATH_INVALID', /is refused/);
  }
  for (const type of ['symlink', 'link', 'fifo', 'character-device'] as const) {
    const bytes = await tarBytes([{ name: 'odd', type, linkname: 'a' }]);
    await assertFails(() => open(t, bytes), 'DATASET_PATH_INVALID', new RegExp(`"odd".*${type}`));
  }
});

test('a name that comes twice and archives beyond the limits are refused', async (t) => {
  const twice = await tarBytes([
    { name: 'a', data },
    { name: './a', data },
  ]);
  await assertFails(() => open(t, twice), 'DATASET_CORRUPT', /comes twice/);
  const two = await tarBytes([
    { name: 'a', data },
    { name: 'b', data },
  ]);
  await assertFails(() => open(t, two, { maxMembers: 1 }), 'DATASET_TOO_LARGE', /more than 1 members/);
  await assertFails(() => open(t, two, { maxExpandedBytes: 10 }), 'DATASET_TOO_LARGE', /more than 10 bytes/);
});

test('a tar that was cut anywhere is refused, between two members too', async (t) => {
  const whole = await tarBytes([
    { name: 'a', data },
    { name: 'b', data },
  ]);
  const file = await testFile(t, whole);
  const content = whole.length - 1024;
  for (const size of [content, content - 512, content - 1000, 1024, 1023, 700, 512]) {
    await truncate(file, size);
    await assertFails(() => openTar(file, DEFAULT_DATASET_LIMITS), 'DATASET_CORRUPT', /damaged/);
  }
});

test('a header with a changed byte does not match its checksum', async (t) => {
  const bytes = await tarBytes([{ name: 'a', data }]);
  bytes[130]! ^= 1;
  await assertFails(() => open(t, bytes), 'DATASET_CORRUPT', /damaged/);
});

test('a size beyond the end of the file is refused', async (t) => {
  const bytes = await tarBytes([{ name: 'a', data }]);
  bytes.write('77777777777', 124, 'latin1');
  bytes.fill(' ', 148, 156);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  await assertFails(() => open(t, bytes), 'DATASET_CORRUPT', /damaged/);
});

test('a .tar.gz is the tar that it holds; when it is cut, no tar or a bomb, it is refused', async (t) => {
  const tar = await tarBytes([{ name: 'a.png', data: await png(2, 2, () => [1, 2, 3]) }]);
  const dataset = await openDataset(await testFile(t, gzipSync(tar)), { preprocess: {} });
  assert.deepEqual([dataset.summary.format, dataset.summary.samples], ['tar', 1]);
  await dataset.close();
  const gz = gzipSync(tar);
  for (const size of [gz.length - 1, gz.length - 9, 30, 12]) {
    const cut = await testFile(t, gz.subarray(0, size));
    await assertFails(() => openDataset(cut, { preprocess: {} }), 'DATASET_CORRUPT', /gzip/);
  }
  const text = await testFile(t, gzipSync(Buffer.from('no tar')));
  await assertFails(() => openDataset(text), 'DATASET_FORMAT_UNKNOWN', /neither/);
  const bomb = await testFile(t, gzipSync(Buffer.alloc(2 ** 22)));
  const limits = { ratioFreeBytes: 2 ** 20 };
  await assertFails(() => openDataset(bomb, { limits }), 'DATASET_TOO_LARGE', /factor of 200/);
  await assertFails(
    () => openDataset(bomb, { limits: { maxExpandedBytes: 1e6 } }),
    'DATASET_TOO_LARGE',
    /1000000 bytes/,
  );
});

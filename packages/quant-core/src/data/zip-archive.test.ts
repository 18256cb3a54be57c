import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { type DatasetLimits, DEFAULT_DATASET_LIMITS } from './limits.js';
import { createScratch } from './scratch.js';
import { testFile, testFolder, type ZipEntry, zipBytes } from './testing/archives.js';
import { assertFails } from './testing/errors.js';
import { openZip } from './zip-archive.js';

const data = Buffer.from('some content that compresses: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');

async function openBytes(t: TestContext, bytes: Uint8Array, limits: Partial<DatasetLimits> = {}) {
  const scratch = createScratch(await testFolder(t));
  const archive = await openZip(await testFile(t, bytes), { ...DEFAULT_DATASET_LIMITS, ...limits }, scratch);
  t.after(async () => {
    await archive.close();
    await scratch.remove();
  });
  return archive;
}

const open = (t: TestContext, entries: readonly ZipEntry[], limits: Partial<DatasetLimits> = {}) =>
  openBytes(t, zipBytes(entries), limits);

test('members are read whole and as windows, stored and deflated, folders and housekeeping left out', async (t) => {
  const archive = await open(t, [
    { name: 'folder/', data: Buffer.alloc(0) },
    { name: 'folder/a', data },
    { name: './b', data, deflate: true },
    { name: 'empty', data: Buffer.alloc(0), deflate: true },
    { name: '__MACOSX/._a', data },
    { name: 'folder/.DS_Store', data },
  ]);
  assert.deepEqual(
    archive.members.map(({ name }) => name),
    ['folder/a', 'b', 'empty'],
  );
  for (const member of archive.members.slice(0, 2)) {
    assert.deepEqual(Buffer.from(await member.read()), data);
    const window = await member.open();
    const bytes = Buffer.alloc(window.byteLength);
    await window.handle.read(bytes, 0, bytes.length, window.offset);
    assert.deepEqual(bytes, data);
    await member.verify();
  }
  assert.equal((await archive.members[2]!.read()).length, 0);
  assert.equal((await archive.members[2]!.open()).byteLength, 0);
});

test('absolute, climbing, drive and control-character paths and links are refused by name', async (t) => {
  for (const name of ['/etc/passwd', '../up', 'a/../../up', 'C:/x', '..\\up', '..']) {
    await assertFails(() => open(t, [{ name, data }]), 'DATASET_PATH_INVALID', /is refused/);
  }
  const utf8 = { flags: 0x800 };
  const hidden = { name: 'a\u0001b', data, local: utf8, central: utf8 };
  await assertFails(() => open(t, [hidden]), 'DATASET_PATH_INVALID', /"a\\u0001b" is refused/);
  await assertFails(
    () => open(t, [{ name: 'link', data, mode: 0o120777 }]),
    'DATASET_PATH_INVALID',
    /"link".*symbolic link/,
  );
});

test('a local header that contradicts the directory is found', async (t) => {
  const lies: [ZipEntry['local'] & object, RegExp][] = [
    [{ method: 8 }, /compression method/],
    [{ sizeBytes: 5 }, /: size/],
    [{ storedBytes: 5 }, /compressed size/],
    [{ crc: 5 }, /checksum/],
    [{ name: 'x' }, /name/],
    [{ flags: 1 }, /encryption/],
  ];
  for (const [local, message] of lies) {
    await assertFails(() => open(t, [{ name: 'a', data, local }]), 'DATASET_CORRUPT', message);
  }
  await assertFails(() => open(t, [{ name: 'a', data, central: { offset: 3 } }]), 'DATASET_CORRUPT', /there is none/);
  await assertFails(
    () => open(t, [{ name: 'a', data, central: { offset: 2 ** 31 } }]),
    'DATASET_CORRUPT',
    /ends before/,
  );
});

test('a header whose sizes follow the data may leave them out', async (t) => {
  const local = { flags: 8, crc: 0, sizeBytes: 0, storedBytes: 0 };
  const archive = await open(t, [{ name: 'a', data, local, central: { flags: 8 } }]);
  assert.deepEqual(Buffer.from(await archive.members[0]!.read()), data);
});

test('a member that inflates to more or less than it says, or to something else, is found', async (t) => {
  const cases: ZipEntry[] = [
    { name: 'more', data, deflate: true, local: { sizeBytes: 9 }, central: { sizeBytes: 9 } },
    { name: 'less', data, deflate: true, local: { sizeBytes: 999 }, central: { sizeBytes: 999 } },
    { name: 'other', data, deflate: true, local: { crc: 1 }, central: { crc: 1 } },
    { name: 'noise', data, local: { method: 8 }, central: { method: 8, sizeBytes: 9 } },
  ];
  cases[3] = { ...cases[3]!, local: { method: 8, sizeBytes: 9 } };
  for (const entry of cases) {
    const archive = await open(t, [entry]);
    await assertFails(() => archive.members[0]!.read(), 'DATASET_CORRUPT', new RegExp(`"${entry.name}"`));
    await assertFails(() => archive.members[0]!.open(), 'DATASET_CORRUPT', new RegExp(`"${entry.name}"`));
  }
  const stored = await open(t, [{ name: 'stored', data, local: { crc: 1 }, central: { crc: 1 } }]);
  await assertFails(() => stored.members[0]!.read(), 'DATASET_CORRUPT', /checksum/);
  await assertFails(() => stored.members[0]!.verify(), 'DATASET_CORRUPT', /checksum/);
});

test('members that share bytes are refused: a small file could expand without end', async (t) => {
  const entry: ZipEntry = { name: 'a', data, deflate: true };
  const again: ZipEntry = { ...entry, central: { offset: 0 } };
  await assertFails(() => open(t, [entry, again]), 'DATASET_CORRUPT', /"a" shares bytes with another member/);
});

test('a name that comes twice is refused', async (t) => {
  await assertFails(
    () =>
      open(t, [
        { name: 'a', data },
        { name: './a', data },
      ]),
    'DATASET_CORRUPT',
    /"a" comes twice/,
  );
});

test('bombs are refused by what they declare, before anything is expanded', async (t) => {
  const zeros = { data: Buffer.alloc(2 ** 20), deflate: true };
  const bomb = [
    { name: 'a', ...zeros },
    { name: 'b', ...zeros },
  ];
  await assertFails(() => open(t, bomb, { maxExpandedBytes: 2 ** 20 }), 'DATASET_TOO_LARGE', /more than 1048576 bytes/);
  await assertFails(() => open(t, bomb, { ratioFreeBytes: 2 ** 20 }), 'DATASET_TOO_LARGE', /factor of 200/);
  await assertFails(() => open(t, bomb, { maxMembers: 1 }), 'DATASET_TOO_LARGE', /2 members; 1/);
  assert.equal((await open(t, bomb)).members.length, 2, 'below the free size any ratio is allowed');
});

test('encrypted members and unknown compression methods are refused', async (t) => {
  const flags = { flags: 1 };
  await assertFails(
    () => open(t, [{ name: 'a', data, deflate: true, local: flags, central: flags }]),
    'DATASET_FORMAT_UNKNOWN',
    /encrypted/,
  );
  const method = { method: 14, sizeBytes: 5 };
  await assertFails(
    () => open(t, [{ name: 'a', data, local: method, central: method }]),
    'DATASET_FORMAT_UNKNOWN',
    /method 14/,
  );
});

test('an archive with any byte of its directory changed is refused or gives the same members', async (t) => {
  const whole = zipBytes([
    { name: 'a', data },
    { name: 'b', data, deflate: true },
  ]);
  const directory = whole.indexOf('PK\x01\x02');
  let refused = 0;
  for (let at = directory; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 0x55;
    try {
      const archive = await openBytes(t, changed);
      for (const member of archive.members) assert.deepEqual(Buffer.from(await member.read()), data, `byte ${at}`);
      assert.deepEqual(
        archive.members.map(({ name }) => name),
        ['a', 'b'],
        `byte ${at}`,
      );
    } catch (error) {
      if (!(error instanceof TritforgeError)) throw error;
      assert.match(error.code, /^DATASET_/);
      refused++;
    }
  }
  assert.ok(refused > 60, `${refused} refused`);
});

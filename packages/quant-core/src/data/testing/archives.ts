import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

/** A folder of the test's own, removed when it ends. */
export async function testFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tritforge-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes bytes to a file of the test's own. */
export async function testFile(t: TestContext, bytes: Uint8Array): Promise<string> {
  const file = path.join(await testFolder(t), 'dataset');
  await writeFile(file, bytes);
  return file;
}

/** A member of {@link zipBytes}. Fields of the headers can be made to lie; the directory is right by default. */
export interface ZipEntry {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflate?: boolean;
  /** Unix mode, as the upper half of the external attributes. */
  readonly mode?: number;
  readonly local?: Partial<ZipFields>;
  readonly central?: Partial<ZipFields & { offset: number }>;
}

interface ZipFields {
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly storedBytes: number;
  readonly sizeBytes: number;
  readonly name: string;
}

/** A zip archive, written by hand so that it can be wrong. */
export function zipBytes(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, deflate = false, mode = 0o100644, local, central } of entries) {
    const stored = deflate ? deflateRawSync(data) : Buffer.from(data);
    const truth: ZipFields = {
      flags: 0,
      method: deflate ? 8 : 0,
      crc: crc32(data),
      storedBytes: stored.length,
      sizeBytes: data.length,
      name,
    };
    const head = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), zipFields({ ...truth, ...local })]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(central?.offset ?? offset, 10);
    const fields = { ...truth, ...central };
    const written = zipFields(fields);
    const nameBytes = Buffer.byteLength(fields.name);
    directory.push(
      Buffer.from('PK\x01\x02\x14\x03', 'latin1'),
      written.subarray(0, -nameBytes),
      tail,
      Buffer.from(fields.name),
    );
    parts.push(head, stored);
    offset += head.length + stored.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

function zipFields({ flags, method, crc, storedBytes, sizeBytes, name }: ZipFields): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(flags, 2);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt32LE(crc, 10);
  fields.writeUInt32LE(storedBytes, 14);
  fields.writeUInt32LE(sizeBytes, 18);
  fields.writeUInt16LE(Buffer.byteLength(name), 22);
  return Buffer.concat([fields, Buffer.from(name)]);
}

/** A tar archive. Members without data take what their header says, such as links and folders. */
export async function tarBytes(
  members: readonly (Partial<Header> & { name: string; data?: Uint8Array })[],
): Promise<Buffer> {
  const archive = pack();
  for (const { data, ...header } of members) archive.entry({ mtime: new Date(0), ...header }, Buffer.from(data ?? []));
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Buffer> as never);
}

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { writeNpz } from '@tritforge/quant-core';

/**
 * Rows of one label byte and the planes of an image, gzipped, to an .npz of uint8 images and labels.
 * @param shape [channels, height, width]
 */
export async function byteImages(
  source: string,
  shape: readonly number[],
  input: string,
  count: number,
  target: string,
): Promise<void> {
  const rows = gunzipSync(await readFile(source));
  const imageBytes = shape.reduce((product, size) => product * size, 1);
  const images = new Uint8Array(count * imageBytes);
  const labels = new BigInt64Array(count);
  for (let i = 0; i < count; i++) {
    const start = i * (imageBytes + 1);
    labels[i] = BigInt(rows[start]!);
    images.set(rows.subarray(start + 1, start + 1 + imageBytes), i * imageBytes);
  }
  await writeNpz(
    target,
    new Map([
      [input, { dtype: 'uint8', shape: [count, ...shape], data: images }],
      ['labels', { dtype: 'int64', shape: [count], data: labels }],
    ]),
  );
}

const TAR_BLOCK_BYTES = 512;

/** `source`.tar with `source`.csv as `labels.csv` in front. */
export async function labelledTar(source: string, target: string): Promise<void> {
  await writeLabelled(target, await readFile(`${source}.csv`), await readFile(`${source}.tar`));
}

/**
 * A gzipped tar of images in a folder for each class, unpacked and with a `labels.csv` in front. Folders are named by the number of
 * their class, or by words, of which the first in the alphabet is class 0.
 */
export async function folderLabelledTar(source: string, target: string): Promise<void> {
  const tar = gunzipSync(await readFile(source));
  const names = tarMembers(tar);
  const folders = [...new Set(names.map((name) => path.dirname(name)))].sort();
  const isNumbered = folders.every((folder) => /^\d+$/.test(folder));
  const classOf = (folder: string) => (isNumbered ? Number(folder) : folders.indexOf(folder));
  const rows = names.map((name) => `${name},${classOf(path.dirname(name))}`);
  await writeLabelled(target, Buffer.from(`${['file,label', ...rows].join('\n')}\n`), tar);
}

async function writeLabelled(target: string, csv: Buffer, tar: Buffer): Promise<void> {
  const padding = Buffer.alloc(paddingBytes(csv.length));
  await writeFile(target, Buffer.concat([tarHeader('labels.csv', csv.length), csv, padding, tar]));
}

function paddingBytes(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** Names of the plain files of a tar with short names. */
function tarMembers(tar: Buffer): string[] {
  const names: string[] = [];
  const text = (start: number, length: number) => tar.toString('latin1', start, start + length).replace(/\0.*$/s, '');
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    const sizeBytes = Number.parseInt(text(at + 124, 12), 8);
    if (text(at + 156, 1) === '0') names.push(text(at, 100));
    at += TAR_BLOCK_BYTES + sizeBytes + paddingBytes(sizeBytes);
  }
  return names;
}

/** A ustar header of a plain file, without owner and time. */
function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(sizeBytes, 11), 124);
  header.write(octal(0, 11), 136);
  header.fill(' ', 148, 156);
  header.write('0', 156);
  header.write('ustar\0' + '00', 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return header;
}

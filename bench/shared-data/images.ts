import { readFile, writeFile } from 'node:fs/promises';
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
  const csv = await readFile(`${source}.csv`);
  const padding = Buffer.alloc((TAR_BLOCK_BYTES - (csv.length % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES);
  await writeFile(
    target,
    Buffer.concat([tarHeader('labels.csv', csv.length), csv, padding, await readFile(`${source}.tar`)]),
  );
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

import { gzipSync } from 'node:zlib';
import { type Member, npy, npz, tar, zip } from './archives.js';
import type { BadUpload } from './bad-models.js';
import { floatArray, integerArray, labelledSamples } from './datasets.js';
import { type FormEntries, file } from './http.js';
import { randomBytes } from './random.js';

const preprocess = JSON.stringify({ resize: { width: 8, height: 8 }, scale: 1 / 255 });
const csv = Buffer.from('file,label\na.png,0\n');

const alone = (what: string, code: string, content: Buffer, fileName = 'data.npz'): BadUpload => ({
  what,
  code,
  parts: [['data', file(content, fileName)]],
});

const images = (what: string, code: string, content: Buffer, options: string | null = preprocess): BadUpload => {
  const data: FormEntries = [['data', file(content, 'images.zip')]];
  return { what, code, parts: options === null ? data : [...data, ['preprocess', options]] };
};

/** Datasets that must not pass their inspection. */
export const BAD_DATASETS: readonly BadUpload[] = [
  alone('an empty file', 'UPLOAD_EMPTY', Buffer.alloc(0)),
  alone('random bytes', 'DATASET_FORMAT_UNKNOWN', randomBytes(5, 5000)),
  alone('a text file', 'DATASET_FORMAT_UNKNOWN', Buffer.from('x,y\n1,2\n'), 'data.csv'),
  alone('a truncated archive', 'DATASET_CORRUPT', labelledSamples(16).subarray(0, 6000)),
  alone('a member that is no array', 'DATASET_ARRAY_INVALID', npz({ x: Buffer.from('not an array at all') })),
  alone('an array shorter than its shape', 'DATASET_ARRAY_INVALID', npz({ x: npy('<f4', [100, 4], Buffer.alloc(16)) })),
  alone('pickled objects', 'DATASET_DTYPE_UNSUPPORTED', npz({ x: npy('|O', [2], Buffer.from('\x80\x04N.N.')) })),
  alone(
    'arrays of different lengths',
    'DATASET_LENGTH_MISMATCH',
    npz({ x: floatArray([4, 2]), z: floatArray([5, 2]) }),
  ),
  alone(
    'labels that are too few',
    'DATASET_LENGTH_MISMATCH',
    npz({ x: floatArray([4, 2]), labels: integerArray([3], 2) }),
  ),
  alone('no samples', 'DATASET_EMPTY', npz({ x: floatArray([0, 4]) })),
  images('an archive without members', 'DATASET_EMPTY', zip([])),
  alone(
    'labels of texts',
    'DATASET_DTYPE_UNSUPPORTED',
    npz({ x: floatArray([2, 4]), labels: npy('<U1', [2], Buffer.from('a\0\0\0b\0\0\0')) }),
  ),
  alone(
    'labels below zero',
    'DATASET_LABELS_INVALID',
    npz({ x: floatArray([2, 4]), labels: npy('|i1', [2], Buffer.from([3, 0xf0])) }),
  ),
  alone('a zip bomb', 'DATASET_TOO_LARGE', zipBomb()),
  alone(
    'a shape of 2^80 elements',
    'DATASET_ARRAY_INVALID',
    npz({ x: npy('<f4', [2 ** 40, 2 ** 40], Buffer.alloc(64)) }),
  ),
  images(
    'images without a preprocess',
    'DATASET_PREPROCESS_REQUIRED',
    zip([
      { name: 'a.png', content: onePixel() },
      { name: 'labels.csv', content: csv },
    ]),
    null,
  ),
  images(
    'an image that is none',
    'DATASET_IMAGE_INVALID',
    zip([
      { name: 'a.png', content: randomBytes(1, 500) },
      { name: 'labels.csv', content: csv },
    ]),
  ),
  images('a member above the folder', 'DATASET_PATH_INVALID', zip([{ name: '../../a.png', content: onePixel() }])),
  images(
    'a tar member at an absolute path',
    'DATASET_PATH_INVALID',
    tar([{ name: '/etc/a.png', content: onePixel() }]),
  ),
  ...[1, 2, 3, 4, 6].map((type) =>
    images(
      `a tar member of the kind ${type}, which is no file`,
      'DATASET_PATH_INVALID',
      tar([{ name: 'a.png', content: Buffer.alloc(0), type }]),
    ),
  ),
  ...['/a.png', '../a.png', 'a/../../a.png', 'C:a.png', 'a\0.png', 'a\n.png'].map((name, at) =>
    images(`a zip member that leads elsewhere, ${at}`, 'DATASET_PATH_INVALID', zip([{ name, content: onePixel() }])),
  ),
  images('a zip member twice', 'DATASET_CORRUPT', zip(pixels('a.png', 'a.png'))),
  images('a tar member twice', 'DATASET_CORRUPT', tar(pixels('a.png', './a.png'))),
  images(
    'a zip member with a name of 60,000 characters',
    'DATASET_IMAGE_INVALID',
    zip([{ name: `${'x'.repeat(60_000)}.png`, content: randomBytes(2, 500) }]),
  ),
  images('a gzip bomb', 'DATASET_TOO_LARGE', gzipSync(Buffer.alloc(100_000_000))),
  images('a gzip bomb in a gzip bomb', 'DATASET_FORMAT_UNKNOWN', gzipSync(gzipSync(Buffer.alloc(20_000_000)))),
  images('a gzip file that was cut', 'DATASET_CORRUPT', gzipSync(randomBytes(3, 5000)).subarray(0, 3000)),
  alone('arrays of 20,000 names', 'DATASET_LENGTH_MISMATCH', npz(manyArrays(20_000))),
  images(
    'a label of 100,000 characters',
    'DATASET_LABELS_INVALID',
    zip([
      { name: 'a.png', content: onePixel() },
      { name: 'labels.csv', content: Buffer.from(`file,label\na.png,${'9'.repeat(100_000)}\n`) },
    ]),
  ),
  images(
    'a preprocess nested 10,000 deep',
    'PREPROCESS_INVALID',
    zip([{ name: 'a.png', content: onePixel() }]),
    `${'{"scale":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
  ),
  images(
    'a preprocess with a prototype',
    'PREPROCESS_INVALID',
    zip([{ name: 'a.png', content: onePixel() }]),
    '{"__proto__": {"scale": 1}}',
  ),
  images(
    'labels that are no numbers',
    'DATASET_LABELS_INVALID',
    zip([
      { name: 'a.png', content: onePixel() },
      { name: 'labels.csv', content: Buffer.from('file,label\na.png,cat\n') },
    ]),
  ),
  images(
    'a preprocess with an unknown field',
    'PREPROCESS_INVALID',
    zip([{ name: 'a.png', content: onePixel() }]),
    '{"rotate": 90}',
  ),
  images(
    'a preprocess that contradicts itself',
    'PREPROCESS_INVALID',
    zip([{ name: 'a.png', content: onePixel() }]),
    '{"resize": {"width": 8}}',
  ),
  images(
    'a preprocess that is no JSON',
    'BODY_NOT_JSON',
    zip([{ name: 'a.png', content: onePixel() }]),
    "{'scale': 1}",
  ),
];

/** Arrays of one sample, and one of two. */
function manyArrays(count: number): Record<string, Buffer> {
  const names = Array.from({ length: count }, (_, at) => `x${at}`);
  return Object.fromEntries(names.map((name, at) => [name, floatArray([at === count - 1 ? 2 : 1, 1])]));
}

/** Members that are the same image. */
function pixels(...names: string[]): Member[] {
  return names.map((name) => ({ name, content: onePixel() }));
}

/** A red PNG of one pixel. */
function onePixel(): Buffer {
  return Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
    'base64',
  );
}

/** An array of zeros, 200 MB in 200 kB. */
function zipBomb(): Buffer {
  const bytes = 200_000_000;
  return zip([{ name: 'x.npy', content: npy('<f4', [bytes / 4], Buffer.alloc(bytes)), deflate: true }]);
}

/**
 * Datasets of images: an archive of JPEG and PNG files and optionally one .csv of labels. With a csv its rows are the
 * samples, in their order, and every image must have a row; without one the images are the samples, in the byte order
 * of their paths, and have no labels. Images are decoded as batches ask for them.
 */
import { type DatasetSummary, type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';
import { type Archive, type ArchiveMember, tooLarge } from './archive.js';
import { type Batch, batchIndices, type Dataset } from './dataset.js';
import { decodeImage, type ImageSize, imageError, preprocessedSize, readImageSize } from './image-decode.js';
import { csvError, type LabelRow, parseLabelCsv } from './label-csv.js';
import type { DatasetLimits } from './limits.js';
import { byteTables, layOut } from './normalize.js';
import { channelsOf, checkPreprocess } from './preprocess-check.js';
import { changesValues } from './preprocess-target.js';

/** Name of the array of an image dataset whose preprocess names no input. */
const IMAGES = 'images';

interface Samples {
  readonly images: readonly ArchiveMember[];
  readonly labels: readonly bigint[] | null;
}

/** An opened image dataset and the check of all its headers. */
export interface ImageDataset extends Omit<Dataset, 'close'> {
  /**
   * Reads every image's header and decodes the first image.
   * @throws TritforgeError DATASET_IMAGE_INVALID naming the member, DATASET_TOO_LARGE, DATASET_CORRUPT
   */
  checkImages(): Promise<void>;
}

/**
 * Opens the images of an archive. The dataset does not own the archive.
 * @throws TritforgeError DATASET_PREPROCESS_REQUIRED, DATASET_EMPTY, DATASET_LABELS_INVALID, DATASET_IMAGE_INVALID,
 *   DATASET_TOO_LARGE, PREPROCESS_INVALID
 */
export async function openImages(
  archive: Archive,
  preprocess: Preprocess | null,
  limits: DatasetLimits,
): Promise<ImageDataset> {
  if (preprocess === null) {
    throw new TritforgeError(
      'DATASET_PREPROCESS_REQUIRED',
      'the dataset has images, and nothing says how they become the input',
      {
        field: 'preprocess',
        remediation: 'Declare preprocess, such as {"scale": 0.00392156862745098}; {} feeds RGB bytes as NCHW.',
      },
    );
  }
  checkPreprocess(preprocess, 'images');
  const { images, labels } = await collectSamples(archive, limits);
  const channels = channelsOf(preprocess);
  const layout = preprocess.layout ?? 'nchw';
  const tables = changesValues(preprocess) ? byteTables(preprocess, channels) : null;
  const first = images[0]!;
  const size = preprocessedSize(
    first.name,
    await readImageSize(first.name, await first.read(), limits),
    preprocess,
    limits,
  );
  const imageElements = size.width * size.height * channels;
  if (imageElements * 4 > limits.maxSampleBytes) throw tooLarge(`one sample takes ${imageElements * 4} bytes`);
  const sampleShape = layout === 'nchw' ? [channels, size.height, size.width] : [size.height, size.width, channels];
  const name = preprocess.input ?? IMAGES;

  async function readImages(indices: readonly number[]): Promise<HostTensor> {
    const data = new (tables === null ? Uint8Array : Float32Array)(indices.length * imageElements);
    for (const [i, index] of indices.entries()) {
      const image = images[index]!;
      const decoded = await decodeImage(image.name, await image.read(), preprocess!, limits);
      checkSameSize(image.name, decoded, size);
      layOut(decoded.pixels, channels, layout, tables, data.subarray(i * imageElements, (i + 1) * imageElements));
    }
    return { dtype: tables === null ? 'uint8' : 'float32', shape: [indices.length, ...sampleShape], data };
  }

  return {
    summary: {
      format: archive.format,
      samples: images.length,
      labels: labels && { dtype: 'int64', classes: classCount(labels) },
      arrays: [{ name, dtype: 'uint8', shape: [images.length, ...sampleShape] }],
    } satisfies DatasetSummary,
    preprocess,
    sampleCount: images.length,
    async *batches(options) {
      for (const indices of batchIndices(images.length, options)) {
        const inputs = new Map([[name, await readImages(indices)]]);
        yield { inputs, labels: labels && labelTensor(labels, indices), count: indices.length } satisfies Batch;
      }
    },
    async checkImages() {
      for (const image of images) {
        const stored = await readImageSize(image.name, await image.read(), limits);
        checkSameSize(image.name, preprocessedSize(image.name, stored, preprocess, limits), size);
      }
      await readImages([0]);
    },
  };
}

async function collectSamples(archive: Archive, limits: DatasetLimits): Promise<Samples> {
  const csvs = archive.members.filter(({ name }) => name.toLowerCase().endsWith('.csv'));
  const images = archive.members.filter((member) => !csvs.includes(member));
  if (images.length === 0) throw new TritforgeError('DATASET_EMPTY', 'the archive has no images');
  const big = images.find(({ sizeBytes }) => sizeBytes > limits.maxImageBytes);
  if (big !== undefined)
    throw tooLarge(`image '${big.name}' has ${big.sizeBytes} bytes; ${limits.maxImageBytes} are allowed`);
  const [csv, second] = csvs;
  if (csv === undefined) return { images: images.sort(byName), labels: null };
  if (second !== undefined) throw csvError(second.name, 1, `the archive has a second csv besides '${csv.name}'`);
  if (csv.sizeBytes > limits.maxCsvBytes) throw tooLarge(`'${csv.name}' has ${csv.sizeBytes} bytes`);
  return joinLabels(images, parseLabelCsv(await csv.read(), csv.name), csv.name);
}

function byName(a: ArchiveMember, b: ArchiveMember): number {
  return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

function joinLabels(images: readonly ArchiveMember[], rows: readonly LabelRow[], csv: string): Samples {
  const byPath = new Map(images.map((image) => [image.name, image]));
  const ordered = rows.map(({ file, line }) => {
    const image = byPath.get(file);
    if (image === undefined) throw csvError(csv, line, `the archive has no member ${JSON.stringify(file)}`);
    byPath.delete(file);
    return image;
  });
  const [unlabelled] = byPath.keys();
  if (unlabelled !== undefined) {
    throw csvError(csv, rows.at(-1)!.line + 1, `the image ${JSON.stringify(unlabelled)} has no row`);
  }
  return { images: ordered, labels: rows.map(({ label }) => label) };
}

function checkSameSize(name: string, size: ImageSize, expected: ImageSize): void {
  if (size.width === expected.width && size.height === expected.height) return;
  throw imageError(
    name,
    `becomes ${size.width} x ${size.height} pixels, the first image ${expected.width} x ${expected.height}`,
    'Make all images the same size with preprocess.resize and preprocess.centerCrop.',
  );
}

function classCount(labels: readonly bigint[]): number {
  return Number(labels.reduce((largest, label) => (label > largest ? label : largest), 0n)) + 1;
}

function labelTensor(labels: readonly bigint[], indices: readonly number[]): HostTensor {
  return { dtype: 'int64', shape: [indices.length], data: BigInt64Array.from(indices, (index) => labels[index]!) };
}

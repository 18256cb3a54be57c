/** Start here: a dataset file is told apart by its first bytes, indexed, and read as batches ask for samples. */
import { open } from 'node:fs/promises';
import { type DatasetSummary, type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { Archive } from './archive.js';
import type { Dataset } from './dataset.js';
import { openImages } from './image-dataset.js';
import { type DatasetLimits, DEFAULT_DATASET_LIMITS } from './limits.js';
import { isNpz, openNpz } from './npz-dataset.js';
import { createScratch, type Scratch } from './scratch.js';
import { gunzipToScratch, openTar } from './tar-archive.js';
import { openZip } from './zip-archive.js';

export interface DatasetOptions {
  /** How samples become the model's input. Images need it; null (the default) leaves arrays as they are stored. */
  readonly preprocess?: Preprocess | null;
  /** Bounds to keep; {@link DEFAULT_DATASET_LIMITS} for those left out. */
  readonly limits?: Partial<DatasetLimits>;
  /** Where compressed arrays and archives are expanded; the system's folder for temporary files by default. */
  readonly scratchDir?: string;
}

type Contents = Omit<Dataset, 'close'> & { readonly checkImages?: () => Promise<void> };

/**
 * Opens a dataset: an .npz of arrays, or a .zip, .tar or .tar.gz of JPEG and PNG images with an optional .csv of labels.
 * The format is told by the content. Stored data stays in the file, compressed data is expanded into scratch files.
 *
 * @throws TritforgeError DATASET_FORMAT_UNKNOWN, DATASET_CORRUPT, DATASET_PATH_INVALID, DATASET_TOO_LARGE,
 *   DATASET_EMPTY, DATASET_ARRAY_INVALID, DATASET_DTYPE_UNSUPPORTED, DATASET_LENGTH_MISMATCH, DATASET_LABELS_INVALID,
 *   DATASET_IMAGE_INVALID, DATASET_PREPROCESS_REQUIRED, PREPROCESS_INVALID
 * @example
 * const dataset = await openDataset('evaluation.zip', { preprocess: { scale: 1 / 255 } });
 * for await (const batch of dataset.batches({ batchSize: 32 })) console.log(batch.count);
 * await dataset.close();
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const { contents, close } = await openContents(path, options);
  const { checkImages: _, ...dataset } = contents;
  return { ...dataset, close };
}

/**
 * Checks a dataset file as a whole: what {@link openDataset} checks, the checksums of all members, the headers of all
 * images and the pixels of one. Values of arrays are checked when they are read.
 * @throws TritforgeError as {@link openDataset}
 */
export async function inspectDataset(path: string, options: DatasetOptions = {}): Promise<DatasetSummary> {
  const { archive, contents, close } = await openContents(path, options);
  try {
    if (contents.checkImages !== undefined) await contents.checkImages();
    else for (const member of archive.members) await member.verify();
    return contents.summary;
  } finally {
    await close();
  }
}

async function openContents(path: string, options: DatasetOptions) {
  const limits = { ...DEFAULT_DATASET_LIMITS, ...options.limits };
  const preprocess = options.preprocess ?? null;
  const scratch = createScratch(options.scratchDir);
  let archive: Archive | undefined;
  const close = async () => {
    await archive?.close();
    await scratch.remove();
  };
  try {
    archive = await openArchive(path, limits, scratch);
    const contents: Contents = isNpz(archive)
      ? await openNpz(archive, preprocess, limits)
      : await openImages(archive, preprocess, limits);
    return { archive, contents, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openArchive(path: string, limits: DatasetLimits, scratch: Scratch): Promise<Archive> {
  const { kind, fileBytes } = await detect(path);
  if (kind === 'zip') return openZip(path, limits, scratch);
  if (kind === 'tar') return openTar(path, limits);
  if (kind === 'gzip') {
    const expanded = await gunzipToScratch(path, fileBytes, limits, scratch);
    if ((await detect(expanded)).kind === 'tar') return openTar(expanded, limits);
  }
  throw new TritforgeError('DATASET_FORMAT_UNKNOWN', 'the file is neither .npz, .zip, .tar nor .tar.gz', {
    remediation: 'Send arrays as .npz (numpy.savez), or JPEG and PNG images in a .zip or .tar.',
  });
}

const USTAR_OFFSET = 257;

/** Tells the container by its magic numbers. */
async function detect(path: string): Promise<{ kind: 'zip' | 'gzip' | 'tar' | null; fileBytes: number }> {
  const handle = await open(path);
  try {
    const { size: fileBytes } = await handle.stat();
    const head = Buffer.alloc(USTAR_OFFSET + 5);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    const text = head.toString('latin1', 0, bytesRead);
    if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return { kind: 'zip', fileBytes };
    if (text.startsWith('\x1f\x8b')) return { kind: 'gzip', fileBytes };
    if (text.startsWith('ustar', USTAR_OFFSET)) return { kind: 'tar', fileBytes };
    return { kind: null, fileBytes };
  } finally {
    await handle.close();
  }
}

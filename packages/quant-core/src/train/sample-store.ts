/**
 * Samples as they go into the network, one record each in a scratch file, so that every worker reads those of its batch again and
 * again without decoding them:
 *
 *   record i   [input 0 | input 1 | …]      at i · recordBytes
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { DataType } from '../ir/index.js';
import { hostBytes, hostTensor } from '../prefix/host-bytes.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';

/** One input of the network in a record. */
interface StoredInput {
  readonly name: string;
  readonly dtype: DataType;
  /** Dimension 0 counts the rows of a record. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** What a reader must know; plain data, for other threads. */
export interface StoreSummary {
  readonly path: string;
  readonly inputs: readonly StoredInput[];
  readonly records: number;
}

/**
 * Writes records to a new file.
 * @throws TritforgeError CANCELED; DATASET_SHAPE_MISMATCH when samples differ in shape: they cannot be put in batches
 */
export async function storeSamples(
  runs: AsyncIterable<{ readonly feeds: Feeds }>,
  path: string,
  signal?: AbortSignal,
): Promise<StoreSummary> {
  const file = openSync(path, 'wx');
  let inputs: StoredInput[] | null = null;
  let records = 0;
  try {
    for await (const { feeds } of runs) {
      throwIfCanceled(signal);
      inputs ??= [...feeds].map(([name, tensor]) => describe(name, tensor));
      for (const { name, shape } of inputs) {
        const tensor = feeds.get(name)!;
        if (tensor.shape.join() !== shape.join()) throw unlike(name, shape, tensor.shape);
        writeSync(file, hostBytes(tensor));
      }
      records++;
    }
  } finally {
    closeSync(file);
  }
  if (inputs === null) throw new TritforgeError('DATASET_EMPTY', 'the dataset has no samples', { field: 'datasets' });
  return { path, inputs, records };
}

/** Reads batches; one per thread. */
export class SampleReader {
  readonly #store: StoreSummary;
  readonly #file: number;
  readonly #recordBytes: number;

  constructor(store: StoreSummary) {
    this.#store = store;
    this.#file = openSync(store.path, 'r');
    this.#recordBytes = store.inputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** The records one after the other along dimension 0. */
  read(records: readonly number[]): Map<string, HostTensor> {
    const batch = new Map<string, HostTensor>();
    let offset = 0;
    for (const { name, dtype, shape, byteLength } of this.#store.inputs) {
      const bytes = new Uint8Array(records.length * byteLength);
      for (const [i, record] of records.entries())
        readSync(this.#file, bytes, i * byteLength, byteLength, record * this.#recordBytes + offset);
      offset += byteLength;
      batch.set(name, hostTensor(dtype, [records.length * shape[0]!, ...shape.slice(1)], bytes));
    }
    return batch;
  }

  close(): void {
    closeSync(this.#file);
  }
}

function describe(name: string, tensor: HostTensor): StoredInput {
  const { dtype, shape } = tensor;
  return { name, dtype, shape: [...shape], byteLength: hostBytes(tensor).byteLength };
}

function unlike(name: string, shape: readonly number[], other: readonly number[]): TritforgeError {
  return new TritforgeError(
    'DATASET_SHAPE_MISMATCH',
    `Samples for ${name} have shapes [${shape}] and [${other}]; training takes samples of one shape together`,
    { field: 'datasets', remediation: 'Send samples of one shape, or train with batches of one.' },
  );
}

/**
 * The state of a training in a file, so that one whose process was killed goes on at its last whole epoch and ends with the same
 * bytes. The file is written beside its place, synced and renamed: whoever reads it finds the state before or the one after.
 *
 *   8 bytes "TFTRAIN1" │ uint32 length of the header │ header, JSON │ vectors, float32, one after the other │ sha256 of all before
 *
 * All little-endian. The header names what the state belongs to, so that a state of other options or data is refused.
 */
import { createHash } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { TritforgeError } from '@tritforge/contracts';

const MAGIC = Buffer.from('TFTRAIN1', 'latin1');
const LENGTH_BYTES = 4;
const DIGEST_BYTES = 32;

/** What a training goes on from. */
export interface TrainingState<Notes> {
  /** By name: parameters, what the optimiser remembers, averages. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** Everything else, such as epochs and the curve: plain JSON, so no NaN, no infinity and no undefined. */
  readonly notes: Notes;
}

interface Header<Notes> {
  readonly identity: string;
  readonly notes: Notes;
  readonly vectors: readonly { readonly name: string; readonly length: number }[];
}

/**
 * One file with the newest state of one training.
 *
 * @example
 * const file = new CheckpointFile<{ epoch: number }>('/scratch/job-7.training', identityOf({ data, options, graph }));
 * const state = await file.read();
 * let epoch = state?.notes.epoch ?? 0;
 * // after an epoch:
 * await file.write({ vectors: new Map([['parameters', parameters], ['moment 0', velocity]]), notes: { epoch: ++epoch } });
 * // when the result is out:
 * await file.remove();
 */
export class CheckpointFile<Notes> {
  readonly #path: string;
  readonly #identity: string;

  /** @param identity of everything that the result depends on: see {@link identityOf} */
  constructor(path: string, identity: string) {
    this.#path = path;
    this.#identity = identity;
  }

  /**
   * The state that was written last; null where there is none.
   * @throws TritforgeError RECIPE_INVALID for the state of another training, and for a file that is no whole checkpoint
   */
  async read(): Promise<TrainingState<Notes> | null> {
    const bytes = await readIfThere(this.#path);
    if (bytes === null) return null;
    const payload = payloadOf(bytes);
    if (payload === null) throw refused(this.#path, 'is damaged, or is none');
    const { header, state } = parse<Notes>(payload);
    if (header.identity !== this.#identity)
      throw refused(this.#path, 'was written by a training with another network, other options or other data');
    return state;
  }

  /** Puts a state in the place of the one before. */
  async write({ vectors, notes }: TrainingState<Notes>): Promise<void> {
    const described = [...vectors].map(([name, { length }]) => ({ name, length }));
    const header: Header<Notes> = { identity: this.#identity, notes, vectors: described };
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(text.length);
    const temporary = `${this.#path}.${process.pid}.tmp`;
    try {
      await writeSynced(temporary, [MAGIC, length, text, ...[...vectors.values()].map(bytesOf)]);
      await rename(temporary, this.#path);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Removes the file, if there is one. */
  remove(): Promise<void> {
    return rm(this.#path, { force: true });
  }
}

/** A digest of plain data, in which the order of properties counts. */
export function identityOf(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

async function writeSynced(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const hash = createHash('sha256');
  const file = await open(path, 'w');
  try {
    for (const part of parts) {
      hash.update(part);
      await file.writeFile(part);
    }
    await file.writeFile(hash.digest());
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Header length, header and vectors of a file; null where it is not what was written. */
function payloadOf(bytes: Buffer): Buffer | null {
  const end = bytes.length - DIGEST_BYTES;
  if (end < MAGIC.length + LENGTH_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const digest = createHash('sha256').update(bytes.subarray(0, end)).digest();
  return digest.equals(bytes.subarray(end)) ? bytes.subarray(MAGIC.length, end) : null;
}

function parse<Notes>(payload: Buffer): { header: Header<Notes>; state: TrainingState<Notes> } {
  let offset = LENGTH_BYTES + payload.readUInt32LE();
  const header = JSON.parse(payload.toString('utf8', LENGTH_BYTES, offset)) as Header<Notes>;
  const vectors = new Map<string, Float32Array>();
  for (const { name, length } of header.vectors) {
    const vector = new Float32Array(length);
    bytesOf(vector).set(payload.subarray(offset, offset + vector.byteLength));
    vectors.set(name, vector);
    offset += vector.byteLength;
  }
  return { header, state: { vectors, notes: header.notes } };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function refused(path: string, why: string): TritforgeError {
  return new TritforgeError('RECIPE_INVALID', `The checkpoint ${path} ${why}`, {
    field: 'checkpoint',
    remediation: 'Remove the file to start from the beginning, or name another one.',
  });
}

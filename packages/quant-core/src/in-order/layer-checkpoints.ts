/**
 * Solved layers in files, so that a job whose process was killed goes on at the layer that it was in. A file is named by what its
 * layer depends on, and holds
 *
 *   sha256 of the rest, 32 bytes   serialized codes, scales and biases
 *
 * A file that was not written to its end, or was damaged, is removed and its layer solved again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { LayerMemory, LayerResult } from './known-layers.js';

const SUFFIX = '.layer';
const DIGEST_BYTES = 32;

/** What a file holds: a result without what follows from its codes. */
interface StoredLayer {
  readonly codes: WeightCodes;
  readonly solvedBias: Float32Array | null;
  readonly bias: Float32Array | null;
  readonly isTooLarge: boolean;
}

/** Layers of one network in a folder that outlives the process. */
export class LayerCheckpoints implements LayerMemory {
  readonly #folder: string;
  readonly #identity: string;
  /** Names of the files that are there and whole. */
  readonly #present = new Set<string>();

  private constructor(folder: string, identity: string) {
    this.#folder = folder;
    this.#identity = identity;
  }

  /**
   * Looks for layers of an earlier attempt and removes those that are of no use. Other files in the folder stay.
   * @param folder made when missing; its owner removes it
   * @param identity of everything that layers depend on besides those before them; layers of another one are not found
   */
  static async open(folder: string, identity: string): Promise<LayerCheckpoints> {
    await mkdir(folder, { recursive: true });
    const checkpoints = new LayerCheckpoints(folder, identity);
    for (const name of await readdir(folder)) {
      if (!name.includes(SUFFIX)) continue;
      const isWhole = name.endsWith(SUFFIX) && payloadOf(await readFile(join(folder, name))) !== null;
      if (isWhole) checkpoints.#present.add(name);
      else await rm(join(folder, name), { force: true });
    }
    return checkpoints;
  }

  has(key: string): boolean {
    return this.#present.has(this.#fileName(key));
  }

  async get(key: string): Promise<LayerResult | undefined> {
    if (!this.has(key)) return undefined;
    const payload = payloadOf(await readFile(join(this.#folder, this.#fileName(key))));
    if (payload === null) throw new Error(`${this.#fileName(key)} was damaged while it was in use`);
    const { codes, solvedBias, bias, isTooLarge } = deserialize(payload) as StoredLayer;
    return { solved: { codes, decoded: decodeWeights(codes), bias: solvedBias }, bias, isTooLarge };
  }

  async set(key: string, { solved, bias, isTooLarge }: LayerResult): Promise<void> {
    const stored: StoredLayer = { codes: solved.codes, solvedBias: solved.bias, bias, isTooLarge };
    const payload = serialize(stored);
    const name = this.#fileName(key);
    const temporary = join(this.#folder, `${name}.${process.pid}.tmp`);
    await writeFile(temporary, Buffer.concat([sha256(payload), payload]));
    await rename(temporary, join(this.#folder, name));
    this.#present.add(name);
  }

  #fileName(key: string): string {
    return `${sha256(Buffer.from(JSON.stringify([this.#identity, key]))).toString('hex')}${SUFFIX}`;
  }
}

/** The content of a file; null where it is not what was written. */
function payloadOf(bytes: Buffer): Buffer | null {
  const payload = bytes.subarray(DIGEST_BYTES);
  return bytes.length > DIGEST_BYTES && sha256(payload).equals(bytes.subarray(0, DIGEST_BYTES)) ? payload : null;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

import { readFloats, type Tensor, tensorFromFloats } from '../ir/index.js';
import type { RecordedOutputs } from '../moments/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';

/** More is not recorded of one layer. */
const MOST_BYTES = 256 * 2 ** 20;

/**
 * What layers are held against in the original network, where their moments are taken: the same for all networks that are quantized
 * on the same samples with the same seed. A key names a layer and the value, which is not the same where a network counts a sum.
 */
export class OriginalOutputs {
  readonly #scratch: ScratchTensors;
  readonly #recorded = new Map<string, { readonly shapes: RecordedOutputs['shapes']; readonly rows: Tensor }>();

  constructor(scratch: ScratchTensors) {
    this.#scratch = scratch;
  }

  has(key: string): boolean {
    return this.#recorded.has(key);
  }

  async get(key: string): Promise<RecordedOutputs | undefined> {
    const found = this.#recorded.get(key);
    return found && { shapes: found.shapes, rows: await readFloats(found.rows) };
  }

  async set(key: string, { shapes, rows }: RecordedOutputs): Promise<void> {
    if (rows.byteLength > MOST_BYTES) return;
    this.#recorded.set(key, { shapes, rows: await this.#scratch.keep(tensorFromFloats([rows.length], rows)) });
  }
}

import { type Node, readFloats, type Tensor, tensorFromFloats } from '../ir/index.js';
import type { RecordedOutputs } from '../moments/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';

/** More is not recorded of one layer. */
const MOST_BYTES = 256 * 2 ** 20;

/**
 * What layers give in the original network, where their moments are taken: the same for all networks that are quantized on the
 * same samples with the same seed.
 */
export class OriginalOutputs {
  readonly #scratch: ScratchTensors;
  readonly #recorded = new Map<Node, { readonly shapes: RecordedOutputs['shapes']; readonly rows: Tensor }>();

  constructor(scratch: ScratchTensors) {
    this.#scratch = scratch;
  }

  has(node: Node): boolean {
    return this.#recorded.has(node);
  }

  async get(node: Node): Promise<RecordedOutputs | undefined> {
    const found = this.#recorded.get(node);
    return found && { shapes: found.shapes, rows: await readFloats(found.rows) };
  }

  async set(node: Node, { shapes, rows }: RecordedOutputs): Promise<void> {
    if (rows.byteLength > MOST_BYTES) return;
    this.#recorded.set(node, { shapes, rows: await this.#scratch.keep(tensorFromFloats([rows.length], rows)) });
  }
}

/**
 * What layers became in networks that were quantized before. A layer depends on those before it alone, so networks that begin
 * with the same precisions have their first layers in common.
 */
import type { PlannedLayer } from '../layers/layer.js';
import type { SolvedLayer } from './solve-whole.js';

/** What became of a layer. */
export interface LayerResult {
  readonly solved: SolvedLayer;
  /** Corrected, [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
  /** Whether moments of its inputs were too large. */
  readonly isTooLarge: boolean;
}

/** Where layers are remembered. */
export interface LayerMemory {
  has(key: string): boolean;
  /** Undefined where `has` is false. */
  get(key: string): Promise<LayerResult | undefined>;
  set(key: string, result: LayerResult): Promise<void>;
}

const MOST_BYTES = 256 * 2 ** 20;

/** Layers by the precisions up to them; those that were not asked for lately are forgotten. For networks of one recipe otherwise. */
export class KnownLayers implements LayerMemory {
  readonly #results = new Map<string, LayerResult>();
  #bytes = 0;

  has(key: string): boolean {
    return this.#results.has(key);
  }

  async get(key: string): Promise<LayerResult | undefined> {
    const result = this.#results.get(key);
    if (result === undefined) return undefined;
    this.#results.delete(key);
    this.#results.set(key, result);
    return result;
  }

  async set(key: string, result: LayerResult): Promise<void> {
    this.#results.set(key, result);
    this.#bytes += byteLength(result);
    for (const [oldest, { solved, ...rest }] of this.#results) {
      if (this.#bytes <= MOST_BYTES) break;
      this.#results.delete(oldest);
      this.#bytes -= byteLength({ solved, ...rest });
    }
  }
}

/** Of each layer to be quantized, what it depends on. */
export function prefixKeys(layers: readonly PlannedLayer[], order: readonly PlannedLayer[]): string[] {
  const keys = new Map<PlannedLayer, string>();
  let key = '';
  for (const planned of layers) {
    const own = `${planned.layer.node.name}:${Object.values(planned.applied).join()};`;
    key += own;
    // A table looks at nothing before it.
    keys.set(planned, planned.layer.isTable ? own : key);
  }
  return order.map((planned) => keys.get(planned)!);
}

/** Codes take a byte or two per weight, what they mean four. */
function byteLength({ solved }: LayerResult): number {
  return 1.5 * solved.decoded.byteLength;
}

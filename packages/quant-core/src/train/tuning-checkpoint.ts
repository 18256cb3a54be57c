import { TritforgeError } from '@tritforge/contracts';
import { CheckpointFile } from './checkpoint.js';
import type { OptimiserState } from './optimisers.js';
import type { Epoch } from './tuning-loop.js';

/** What a fine-tuning goes on from. */
export interface TuningState {
  readonly latent: Float32Array;
  /** Latent parameters of the best epoch; null while none was better than the start. */
  readonly best: Float32Array | null;
  readonly optimiser: OptimiserState | undefined;
  readonly curve: readonly Epoch[];
  /** That the training has taken. */
  readonly seconds: number;
}

interface Notes {
  readonly steps: number;
  readonly curve: readonly Epoch[];
  readonly seconds: number;
}

const LATENT = 'latent';
const BEST = 'best';

/** The state of a fine-tuning after its last whole epoch, in a file. */
export class TuningCheckpoint {
  readonly #file: CheckpointFile<Notes>;

  /** @param identity of everything that the result depends on */
  constructor(path: string, identity: string) {
    this.#file = new CheckpointFile(path, identity);
  }

  /** What an earlier attempt at the same training left; null, and nothing on disk, where there is no such thing. */
  async read(): Promise<TuningState | null> {
    const state = await this.#readOrRemove();
    if (state === null) return null;
    const { vectors, notes } = state;
    const moments = [...vectors].filter(([name]) => name !== LATENT && name !== BEST).map(([, vector]) => vector);
    return {
      latent: vectors.get(LATENT)!,
      best: vectors.get(BEST) ?? null,
      optimiser: { steps: notes.steps, moments },
      curve: notes.curve,
      seconds: notes.seconds,
    };
  }

  async write({ latent, best, optimiser, curve, seconds }: TuningState): Promise<void> {
    const moments = optimiser?.moments.map((vector, i) => [`moment ${i}`, vector] as const) ?? [];
    const vectors = new Map([[LATENT, latent], ...(best === null ? [] : [[BEST, best] as const]), ...moments]);
    await this.#file.write({ vectors, notes: { steps: optimiser?.steps ?? 0, curve, seconds } });
  }

  /** Another training, or a damaged file, is no reason to fail: training begins anew. */
  async #readOrRemove() {
    try {
      return await this.#file.read();
    } catch (error) {
      if (!(error instanceof TritforgeError)) throw error;
      await this.#file.remove();
      return null;
    }
  }
}

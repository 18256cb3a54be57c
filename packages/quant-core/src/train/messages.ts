import type { TritforgeError } from '@tritforge/contracts';
import type { StoreSummary } from './sample-store.js';

/** What a training thread is started with; plain data and shared memory. */
export interface ThreadSetup {
  /** Computes loss and gradient of a batch. */
  readonly trainingGraph: string;
  /** Computes the loss alone. */
  readonly lossGraph: string;
  /** The original network, and which of its outputs are targets under which name. */
  readonly teacher: { readonly path: string; readonly targets: ReadonlyMap<string, string> };
  readonly store: StoreSummary;
  readonly names: { readonly parameters: string; readonly loss: string; readonly gradient: string };
  /** Shared float32: the parameters, and where this thread's gradient goes. */
  readonly parameters: SharedArrayBuffer;
  readonly gradient: SharedArrayBuffer;
  /** How images are varied; null where they are not. */
  readonly augmentation: Augmentation | null;
}

/** Random shifts, filled with the edge, and mirror images along the last axis. */
export interface Augmentation {
  readonly input: string;
  readonly maxShift: number;
  readonly mirrors: boolean;
}

/** Records of a batch. The seed decides how they are varied; null leaves them as they are and computes the loss alone. */
export interface ThreadTask {
  readonly records: readonly number[];
  readonly seed: number | null;
}

export type ThreadAnswer =
  | { readonly loss: number }
  | { readonly known: ReturnType<TritforgeError['toJSON']> }
  | { readonly error: unknown };

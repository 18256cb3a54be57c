import type { TritforgeError } from '@tritforge/contracts';
import type { BiasValues, LatentWeight } from './latent-weight.js';
import type { StoreSummary } from './sample-store.js';

/** What a training thread is started with; plain data and shared memory. */
export interface ThreadSetup {
  /** Computes loss and gradient of a batch. */
  readonly trainingGraph: string;
  /** Computes the loss by which networks are judged; null where nobody asks for it. */
  readonly lossGraph: VectorGraph | null;
  /** Further graphs by name, each with the one output that is asked of it. They see neither teacher nor augmentation. */
  readonly vectorGraphs?: ReadonlyMap<string, VectorGraph>;
  /** The network whose outputs are targets, and which of them under which name; null where there is none. */
  readonly teacher: { readonly path: string; readonly targets: ReadonlyMap<string, string> } | null;
  /** Inputs of the network; where labels are stored too, graphs take them as an input of the same name. */
  readonly store: StoreSummary;
  /** Records of one run of the training graph and of the loss graph; all that a task has when left out. */
  readonly recordsPerRun?: number;
  /** Graphs take as much of the parameters as their input holds, from the first on. */
  readonly names: { readonly parameters: string; readonly loss: string; readonly gradient: string };
  /** Shared float32: the parameters, and where this thread's gradient goes. */
  readonly parameters: SharedArrayBuffer;
  readonly gradient: SharedArrayBuffer;
  /** What parameters are made from where they are quantized, shared float32, and how. */
  readonly latent: { readonly values: SharedArrayBuffer; readonly weights: readonly LatentWeight[] };
  /** How images are varied; null where they are not. */
  readonly augmentation: Augmentation | null;
}

/** A graph in a file that computes float32 numbers of a batch. */
export interface VectorGraph {
  readonly path: string;
  readonly output: string;
  /** Its input that takes the parameters. */
  readonly parameters: string;
}

/** Random windows, shifts, filled with the edge, mirror images along the last axis, and mixtures. */
export interface Augmentation {
  readonly input: string;
  /** Least share of the area that a window has; whole images when left out. */
  readonly leastArea?: number | undefined;
  readonly maxShift: number;
  readonly mirrors: boolean;
  /** Whether samples are mixed with each other; only where a teacher says what comes of it. */
  readonly mixes?: boolean;
}

/**
 * Records of a batch, and what to compute: a gradient with samples varied by a seed, the loss with or without that, or the output of a further graph. Or
 * which weights to quantize anew.
 */
export type ThreadTask =
  | { readonly kind: 'gradient'; readonly records: readonly number[]; readonly seed: number }
  | { readonly kind: 'loss'; readonly records: readonly number[]; readonly seed: number | null }
  | { readonly kind: 'vector'; readonly records: readonly number[]; readonly graph: string }
  | { readonly kind: 'project'; readonly weights: readonly number[]; readonly biases: BiasValues };

export type ThreadAnswer =
  | { readonly loss: number }
  | { readonly done: true }
  | { readonly vector: Float32Array }
  | { readonly known: ReturnType<TritforgeError['toJSON']> }
  | { readonly error: unknown };

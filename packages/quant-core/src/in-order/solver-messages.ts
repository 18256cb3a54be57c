import type { SerializedError } from '@tritforge/contracts';
import type { SolvedLayer } from './solve-channels.js';

/** What a thread that solves problems answers, once for each. */
export type SolverAnswer =
  | { readonly solved: SolvedLayer }
  /** An error of the registry, which would lose its class on the way. */
  | { readonly known: SerializedError }
  | { readonly error: unknown };

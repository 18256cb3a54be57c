/**
 * Inputs of decoders and encoders that follow from the tokens of a sample, where a dataset has no arrays for them:
 *
 *   past_key_values.*, past.*      [batch, heads, past, width]     a cache of length 0: every sample is read from its start
 *   attention_mask                 [batch, past + tokens]          ones: every token counts
 *   position_ids                   [batch, tokens]                 0, 1, 2, …; behind a mask of the dataset, tokens that count so far
 *   token_type_ids                 [batch, tokens]                 zeros: one sentence
 *   use_cache_branch               [1]                             false: nothing is in the cache
 *
 * These are the names that exports of transformers have. All else must be in the dataset.
 */
import { TritforgeError } from '@tritforge/contracts';
import type { DataType, Dimension } from '../ir/index.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { castTensor } from './cast.js';

type MadeKind = 'emptyCache' | 'mask' | 'positions' | 'zeros' | 'false';

/** Whether an output is a cache for the next tokens, by the name that exports of transformers give it. */
export function isCacheOutput(name: string): boolean {
  return CACHE_OUTPUT.test(name);
}

/** An input that is made for each run. */
export interface MadeInput {
  readonly input: string;
  readonly dtype: DataType;
  readonly kind: MadeKind;
  /** Sizes as the model has them. */
  readonly shape: readonly Dimension[];
}

interface Described {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly Dimension[] | null;
}

/** By name, what an input is, with the number of dimensions that it can have. */
const KNOWN: readonly (readonly [name: RegExp, kind: MadeKind, ranks: readonly number[]])[] = [
  [/^past(_key_values?|_keys?|_values?)?(_self)?[._]\S*$/, 'emptyCache', [4, 5]],
  [/^attention_mask$/, 'mask', [2]],
  [/^position_ids$/, 'positions', [2]],
  [/^token_type_ids$/, 'zeros', [2]],
  [/^use_cache_branch$/, 'false', [0, 1]],
];
const CACHE_OUTPUT = /^present(_key_values?|_keys?|_values?)?(_self)?[._]\S*$/;
/** Of [batch, heads, past, width]. */
const PAST_AXIS = -2;
const NUMERIC: ReadonlySet<string> = new Set(['float32', 'float16', 'float64', 'int64', 'int32', 'bool']);

/**
 * How to make an input that a dataset has no array for; null when nothing is known about it.
 * @throws TritforgeError DATASET_NAME_MISMATCH for a cache of which the shape does not say where its length is
 */
export function madeInput({ name, dtype, shape }: Described): MadeInput | null {
  const kind = shape === null ? undefined : kindOf(name, shape.length);
  if (kind === undefined || shape === null || !NUMERIC.has(dtype)) return null;
  const made: MadeInput = { input: name, dtype: dtype as DataType, kind, shape };
  if (kind === 'emptyCache') requireOpenLength(made);
  return made;
}

/** Sizes of what a run reads. */
export interface TokenSizes {
  readonly batch: number;
  /** Tokens of a sample. */
  readonly length: number;
  /** Tokens in a cache that the dataset gives. */
  readonly past: number;
}

/** The sizes of a run's tokens: the first two dimensions of its first input that has two. Without any, one token. */
export function tokenSizes(feeds: Feeds): TokenSizes {
  const [cache] = [...feeds].filter(([name, { shape }]) => kindOf(name, shape.length) === 'emptyCache');
  const past = cache?.[1].shape.at(PAST_AXIS) ?? 0;
  for (const [name, { shape }] of feeds) {
    const isToken = shape.length >= 2 && kindOf(name, shape.length) === undefined;
    if (isToken) return { batch: shape[0]!, length: shape[1]!, past };
  }
  return { batch: 1, length: 1, past };
}

/** Makes an input for a run that is fed what the dataset has. */
export function makeInput({ input, dtype, kind, shape }: MadeInput, feeds: Feeds): HostTensor {
  const { batch, length, past } = tokenSizes(feeds);
  const rows = (columns: number, value: (column: number) => number) =>
    integers(
      dtype,
      [batch, columns],
      Array.from({ length: batch * columns }, (_, i) => value(i % columns)),
    );
  if (kind === 'emptyCache')
    return castTensor({ dtype: 'float32', shape: emptyShape(shape, batch), data: new Float32Array(0) }, dtype, input);
  if (kind === 'false')
    return integers(
      dtype,
      shape.map(() => 1),
      [0],
    );
  if (kind === 'mask') return rows(past + length, () => 1);
  if (kind === 'zeros') return rows(length, () => 0);
  const mask = feeds.get('attention_mask');
  const isWhole = mask !== undefined && mask.shape.join() === [batch, past + length].join();
  return isWhole
    ? integers(dtype, [batch, length], positionsBehind(mask, past))
    : rows(length, (column) => past + column);
}

/** Of each token, how many tokens before it count; 0 for those that do not count themselves. */
function positionsBehind({ shape, data }: HostTensor, past: number): number[] {
  const columns = shape[1]!;
  const positions: number[] = [];
  let counted = 0;
  for (const [i, counts] of Array.from(data as ArrayLike<number | bigint>, Number).entries()) {
    if (i % columns === 0) counted = 0;
    if (i % columns >= past) positions.push(counts === 0 ? 0 : counted);
    counted += counts === 0 ? 0 : 1;
  }
  return positions;
}

function integers(dtype: DataType, shape: readonly number[], values: readonly number[]): HostTensor {
  if (dtype === 'bool') return { dtype, shape, data: Uint8Array.from(values) };
  const data = BigInt64Array.from(values, BigInt);
  return castTensor({ dtype: 'int64', shape, data }, dtype, dtype);
}

/** [batch, heads, 0, width], or the same behind a dimension of keys and values. */
function emptyShape(shape: readonly Dimension[], batch: number): number[] {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : batch));
  return sizes.with(PAST_AXIS, 0);
}

function requireOpenLength({ input, shape }: MadeInput): void {
  const isOpen = (axis: number) => typeof shape.at(axis) !== 'number';
  if (isOpen(PAST_AXIS) && !isOpen(-1) && !isOpen(-3)) return;
  const sizes = shape.map((size) => size ?? '?').join(', ');
  throw new TritforgeError(
    'DATASET_NAME_MISMATCH',
    `the dataset has no array '${input}', and no empty cache can be made: its shape is [${sizes}], not [batch, heads, past, width] with the numbers of heads and of their width alone`,
    {
      field: input,
      remediation: `Add an array '${input}' to the dataset, or export the model with a cache of open length.`,
    },
  );
}

function kindOf(name: string, rank: number): MadeKind | undefined {
  return KNOWN.find(([pattern, , ranks]) => pattern.test(name) && ranks.includes(rank))?.[1];
}

/**
 * What a search may choose from: for each weight the precisions that the rules of the recipe leave open, and what they cost.
 *
 *   bits per weight   2 + 8/N ternary, (2 + 8/N)·2 with two planes, 2 uniform, 4 + 8/N int4, 8 int8; and a float per output channel
 */
import {
  type GroupSize,
  isUniform,
  type LayerPrecision,
  type LayerSettings,
  type ResolvedRecipe,
} from '@tritforge/contracts';
import { groupCount, packedByteLength, type WeightLayout, weightCount } from '../fgq/index.js';
import type { Tensor } from '../ir/index.js';
import type { Layer } from '../layers/layer.js';
import { rulesFor } from '../layers/plan-layers.js';

/** How the weights of a layer are stored. */
export type WeightPrecision = Pick<LayerPrecision, 'bits' | 'groupSize'> & { readonly planes: 1 | 2 | null };

/** Layers of the main graph that share a weight, and what that weight may become. */
export interface Unit {
  readonly weight: Tensor;
  /** In graph order; the first one decides. */
  readonly layers: readonly [Layer, ...Layer[]];
  /** Small ones first; one alone where a rule settles it. */
  readonly precisions: readonly WeightPrecision[];
}

const ternary = (groupSize: GroupSize, planes: 1 | 2 = 1): WeightPrecision => ({ bits: 2, groupSize, planes });
export const INT8: WeightPrecision = { bits: 8, groupSize: null, planes: null };
const INT4: WeightPrecision = { bits: 4, groupSize: 64, planes: null };
/** Of use once it was trained: measured where the recipe asks for it, and not searched for. */
const UNIFORM: WeightPrecision = { bits: 2, groupSize: null, planes: null };
const PRECISIONS: readonly WeightPrecision[] = [
  ternary(64),
  ternary(32),
  ternary(16),
  ternary(8),
  ternary(4),
  INT4,
  ternary(64, 2),
  INT8,
];

/** The recipes of one precision for all layers, as far as the defaults go; the search is held against them. */
export const SINGLE_PRECISIONS: readonly WeightPrecision[] = [
  INT8,
  ternary(4),
  ternary(64),
  ternary(16),
  INT4,
  ternary(32),
  ternary(8),
];

/** The weights that a search may choose for: those of products alone, and of none that is excluded. */
export function findUnits(layers: readonly Layer[], recipe: ResolvedRecipe): Unit[] {
  const sharing = new Map<Tensor, Layer[]>();
  for (const layer of layers) sharing.set(layer.weight, [...(sharing.get(layer.weight) ?? []), layer]);
  return [...sharing].flatMap(([weight, [first, ...others]]): Unit[] => {
    if (first === undefined || ![first, ...others].every(isOpen)) return [];
    const precisions = openPrecisions(first, rulesFor(first, recipe), recipe);
    return precisions.length === 0 ? [] : [{ weight, layers: [first, ...others], precisions }];
  });
}

/** Whether the weight of a layer can be exchanged for another one while a network runs, and its damage be measured so. */
function isOpen({ inMainGraph, isTable, turned }: Layer): boolean {
  return inMainGraph && !isTable && !turned;
}

function openPrecisions(
  { layout, depthwise }: Layer,
  rules: LayerSettings,
  { method }: ResolvedRecipe,
): WeightPrecision[] {
  if (rules.exclude || rules.bits === null) return [];
  const mayBeUniform = isUniform(method) || rules.groupSize === null;
  const usual = depthwise && rules.bits === undefined ? [INT8] : [...(mayBeUniform ? [UNIFORM] : []), ...PRECISIONS];
  const open = usual.map((precision) => settled(precision, rules)).filter((precision) => precision !== null);
  const distinct = new Map(open.toReversed().map((precision) => [storedAs(precision, layout), precision]));
  return [...distinct.values()].sort((a, b) => storedByteLength(layout, a) - storedByteLength(layout, b));
}

/** The precision with what rules say; null where they rule it out. */
function settled(precision: WeightPrecision, { bits, groupSize, planes }: LayerSettings): WeightPrecision | null {
  if (bits !== undefined && bits !== precision.bits) return null;
  const isTernary = precision.bits === 2 && precision.groupSize !== null;
  if (groupSize === null) return isTernary ? null : precision;
  if (groupSize !== undefined && precision === UNIFORM) return null;
  return {
    ...precision,
    ...(groupSize !== undefined && precision.groupSize !== null && { groupSize }),
    ...(planes !== undefined && isTernary && { planes }),
  };
}

/** Which of a unit's precisions is stored in the same way; −1 when none is. */
export function indexOfPrecision({ precisions, layers: [{ layout }] }: Unit, precision: WeightPrecision): number {
  const key = storedAs(precision, layout);
  return precisions.findIndex((own) => storedAs(own, layout) === key);
}

/** Groups that are wider than the layer are all the same. */
function storedAs({ bits, groupSize, planes }: WeightPrecision, { inputChannels }: WeightLayout): string {
  return [bits, groupSize && Math.min(groupSize, inputChannels), planes].join();
}

/** Bytes of codes, group scales and channel scales; 4 per weight in floating point. */
export function storedByteLength(layout: WeightLayout, { bits, groupSize, planes }: WeightPrecision): number {
  const weights = weightCount(layout);
  if (bits === null) return 4 * weights;
  const scales = 4 * layout.outputChannels;
  if (groupSize === null) return (bits === 2 ? packedByteLength(weights) : weights) + scales;
  const codes = bits === 4 ? Math.ceil(weights / 2) : packedByteLength(weights);
  return (planes ?? 1) * (codes + groupCount(layout, groupSize)) + scales;
}

/** What decodes a weight in an artifact. */
export type WeightKind = 'int8' | 'int4' | 'uniform' | 'ternary' | 'twoPlanes';

export function kindOf({ bits, groupSize, planes }: WeightPrecision): WeightKind {
  if (bits === 8) return 'int8';
  if (bits === 4) return 'int4';
  if (groupSize === null) return 'uniform';
  return planes === 2 ? 'twoPlanes' : 'ternary';
}

/** In words, such as `N=64 ×2`. */
export function precisionName({ bits, groupSize, planes }: WeightPrecision): string {
  if (bits === null) return 'float';
  if (bits === 8) return 'int8';
  if (groupSize === null) return 'uniform';
  return `${bits === 4 ? 'int4 ' : ''}N=${groupSize}${planes === 2 ? ' ×2' : ''}`;
}

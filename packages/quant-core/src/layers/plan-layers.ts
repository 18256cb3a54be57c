/**
 * Which precision each layer gets: what the recipe asks for, in the order method, first and last layer, selectors of second
 * planes, rules (later ones win), then what can be had. A share of second planes is spent afterwards: see residual-planes.ts.
 */
import {
  type GroupSize,
  isUniform,
  type LayerMatch,
  type LayerPrecision,
  type LayerSettings,
  type ResolvedRecipe,
  TritforgeError,
} from '@tritforge/contracts';
import type { Tensor } from '../ir/index.js';
import { matchesGlob } from './glob.js';
import type { Layer, PlannedLayer } from './layer.js';

/** Embeddings in rows of int8 cost little accuracy and a quarter of the room; fewer bits are for rules. */
const TABLE_BITS = 8;
const UNPUBLISHED = 'the published method quantizes no tables';
/** Where a search starts from is int8. */
const BITS_OF_METHOD = { fgq: 2, uniform: 2, nce: 2, int4: 4, int8: 8, auto: 8 } as const;

/**
 * Plans every layer.
 * @throws TritforgeError SELECTOR_UNMATCHED naming the first selector that matches no layer
 */
export function planLayers(layers: readonly Layer[], recipe: ResolvedRecipe): PlannedLayer[] {
  recipe.layers.forEach(({ match }, i) => {
    requireMatch(match, layers, `recipe.layers[${i}].match`);
  });
  selectorsOf(recipe).forEach((match, i) => {
    requireMatch(match, layers, `recipe.weights.residualPlanes[${i}]`);
  });
  recipe.fineTune?.features?.layers.forEach((match, i) => {
    requireMatch(match, layers, `recipe.fineTune.features.layers[${i}]`);
  });
  const owners = new Map<Tensor, PlannedLayer>();
  const products = layers.filter(({ isTable }) => !isTable);
  return layers.map((layer) => {
    const isEnd = layer === products[0] || layer === products.at(-1);
    const planned = planLayer(layer, recipe, isEnd);
    if (planned.applied.bits === null) return planned;
    const owner = owners.get(layer.weight);
    if (owner === undefined) owners.set(layer.weight, planned);
    return owner === undefined ? planned : shareWeight(planned, owner);
  });
}

function planLayer(layer: Layer, recipe: ResolvedRecipe, isEnd: boolean): PlannedLayer {
  const rules = rulesFor(layer, recipe);
  const requested = requestedPrecision(layer, recipe, isEnd, rules);
  const isLowBit = requested.bits === 2 || requested.bits === 4;
  if (isLowBit && layer.depthwise && rules.bits === undefined) {
    return {
      layer,
      requested,
      ...apply(
        layer,
        {
          bits: 8,
          groupSize: null,
          planes: null,
          activationBits: rules.activationBits ?? usualActivationBits(recipe, isEnd, 8),
        },
        requested.groupSize === null
          ? 'depthwise: an output channel has few weights, whose errors do not average out; a rule with bits 2 quantizes it'
          : 'depthwise: an output channel has one input channel, so that there is nothing to group',
      ),
    };
  }
  const isUnpublished = layer.isTable && recipe.paper && requested.bits === null && !rules.exclude;
  return { layer, requested, ...apply(layer, requested, isUnpublished ? UNPUBLISHED : null) };
}

/** What the rules of a recipe say about a layer, later ones over earlier ones. */
export function rulesFor(layer: Layer, recipe: ResolvedRecipe): LayerSettings {
  return Object.assign({}, ...recipe.layers.filter(({ match }) => matches(match, layer)).map(({ set }) => set));
}

function requestedPrecision(
  layer: Layer,
  recipe: ResolvedRecipe,
  isEnd: boolean,
  rules: LayerSettings,
): LayerPrecision {
  const usualBits = layer.isTable ? usualTableBits(recipe) : usualProductBits(recipe, isEnd);
  const bits = rules.exclude ? null : rules.bits === undefined ? usualBits : rules.bits;
  const groupSize = groupSizeOf(bits, rules, recipe);
  const selected = selectorsOf(recipe).some((match) => matches(match, layer));
  const planes = bits === 2 && groupSize !== null ? (rules.planes ?? (selected ? 2 : 1)) : null;
  const activationBits = rules.activationBits ?? usualActivationBits(recipe, isEnd, bits);
  const hasInput = bits !== null && !layer.isTable;
  return { bits, groupSize, planes, activationBits: hasInput ? activationBits : null };
}

/** Null where there are no groups: with 8 bits, and with uniform 2 bits. */
function groupSizeOf(
  bits: LayerPrecision['bits'],
  rules: LayerSettings,
  { method, weights }: ResolvedRecipe,
): GroupSize | null {
  if (bits === 4) return rules.groupSize ?? weights.groupSize;
  if (bits !== 2) return null;
  if (rules.groupSize !== undefined) return rules.groupSize;
  return isUniform(method) ? null : weights.groupSize;
}

function usualProductBits({ method, firstLast }: ResolvedRecipe, isEnd: boolean): LayerPrecision['bits'] {
  const methodBits = BITS_OF_METHOD[method];
  return methodBits < 8 && isEnd ? firstLast.bits : methodBits;
}

/** What was published quantizes no tables. */
function usualTableBits({ paper }: ResolvedRecipe): LayerPrecision['bits'] {
  return paper ? null : TABLE_BITS;
}

/** The layers that are to have a second plane, where the recipe lists them. */
function selectorsOf({ weights }: ResolvedRecipe): readonly LayerMatch[] {
  return typeof weights.residualPlanes === 'number' ? [] : weights.residualPlanes;
}

/**
 * Inputs of 4 bits, and of 2, make ternary layers faster, and no others: what stays at int8 for the sake of accuracy keeps 8-bit inputs
 * for the same sake. The method int8 has no other layers. The first and the last layer see what suffers most.
 */
function usualActivationBits(
  { method, activations }: ResolvedRecipe,
  isEnd: boolean,
  bits: LayerPrecision['bits'],
): LayerPrecision['activationBits'] {
  const keeps8 = isEnd || (BITS_OF_METHOD[method] < 8 && bits === 8);
  return activations.bits !== null && keeps8 ? 8 : activations.bits;
}

/** Drops quantized activations where they cannot be had. */
function apply(layer: Layer, wanted: LayerPrecision, reason: string | null): Pick<PlannedLayer, 'applied' | 'reason'> {
  if (wanted.activationBits === null || layer.floatInputReason === null) return { applied: wanted, reason };
  const why = `activations stay in floating point: ${layer.floatInputReason}`;
  return { applied: { ...wanted, activationBits: null }, reason: reason === null ? why : `${reason}; ${why}` };
}

/** One tensor is quantized once: a later user takes the bits of the first. */
function shareWeight(planned: PlannedLayer, owner: PlannedLayer): PlannedLayer {
  const { bits, groupSize, planes } = owner.applied;
  const own = planned.applied;
  if (own.bits === bits && own.groupSize === groupSize && own.planes === planes) return planned;
  const applied: LayerPrecision = { ...owner.applied, activationBits: own.activationBits };
  return { ...planned, applied, reason: `the weight is shared with ${owner.layer.node.name}` };
}

/** Whether a selector means a layer. */
export function matches(match: LayerMatch, layer: Layer): boolean {
  if (match.name !== undefined && !matchesGlob(match.name, layer.node.name)) return false;
  if (match.op !== undefined && match.op !== layer.node.opType) return false;
  return match.depthwise === undefined || match.depthwise === layer.depthwise;
}

function requireMatch(match: LayerMatch, layers: readonly Layer[], field: string): void {
  if (layers.some((layer) => matches(match, layer))) return;
  throw new TritforgeError('SELECTOR_UNMATCHED', `No layer matches ${JSON.stringify(match)}`, {
    field,
    remediation: 'Inspect the model for the names of its layers; * stands for any characters.',
  });
}

/**
 * Which quantized values have codes of 4 or 2 bits: those that layers take in, if all these layers ask for so few. Values that share a
 * scale, because operators between them only move elements, are judged together.
 *
 * What feeds no layer keeps 8 bits, such as the addends of a residual connection that only the addition uses: no kernel gets
 * faster by fewer levels there, and the addition would round twice as coarsely.
 *
 * Where something else than narrow layers takes the value in too, wide shortcuts leave it its 8 bits, and the layers take in a second
 * quantization of it. With narrow ones all take in the same codes.
 *
 *   wide      v, 8 bits ─┬──────────────────▶ Add
 *                        └─▶ v_2bit ─▶ layer
 *   narrow    v, 2 bits ─┬─▶ Add
 *                        └─▶ layer
 *
 * Source of wide shortcuts: Choi et al. 2019, "Accurate and Efficient 2-bit Quantized Neural Networks" (PACT-SAWB), §4.
 */
import type { ActivationBits, Shortcuts } from '@tritforge/contracts';
import type { MaxCode } from '../calibrate/index.js';
import type { Node } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { ActivationPlan, BranchedValue, QuantizedValue } from './plan-activations.js';

const MAX_CODES: Readonly<Record<ActivationBits, MaxCode>> = { 8: 255, 4: 15, 3: 7, 2: 3 };

/** The plan with the bits that the layers ask for; those of the given plan do not count. */
export function assignBits(
  plan: Omit<ActivationPlan, 'maxCodes'>,
  layers: readonly PlannedLayer[],
  shortcuts: Shortcuts,
): ActivationPlan {
  const base = withoutBranches(plan);
  const maxCodes = new Map<string, MaxCode>();
  const raise = (range: string, maxCode: MaxCode) =>
    maxCodes.set(range, Math.max(maxCode, maxCodes.get(range) ?? 0) as MaxCode);
  for (const planned of layers) {
    const range = inputRange(planned, base);
    if (range === null) continue;
    raise(range, shortcuts === 'wide' && base.streams.has(range) ? 255 : askedFor(planned));
  }
  for (const range of base.observed) if (!maxCodes.has(range)) maxCodes.set(range, 255);
  return shortcuts === 'wide' ? withBranches({ ...base, maxCodes }, layers) : { ...base, maxCodes };
}

/** A quantization of its own for every layer that asks for fewer bits than its input has; layers of equal bits share it. */
function withBranches(plan: ActivationPlan, layers: readonly PlannedLayer[]): ActivationPlan {
  const values = new Map(plan.values);
  const maxCodes = new Map(plan.maxCodes);
  const nonNegative = new Set(plan.nonNegative);
  const branches = new Map<Node, BranchedValue>();
  const known = new Map<string, BranchedValue>();
  for (const planned of layers) {
    const range = inputRange(planned, plan);
    const maxCode = range === null ? 255 : askedFor(planned);
    if (range === null || maxCode >= plan.maxCodes.get(range)!) continue;
    const { node } = planned.layer;
    const source = node.inputs[0]!;
    const key = `${source}_${planned.applied.activationBits}bit`;
    const value = known.get(key) ?? branchOf(source, freeName(key, values));
    known.set(key, value);
    branches.set(node, value);
    values.set(value.name, value);
    maxCodes.set(value.name, maxCode);
    if (nonNegative.has(range)) nonNegative.add(value.name);
  }
  const added = Array.from(known.values(), ({ name }) => name);
  return { ...plan, values, maxCodes, nonNegative, branches, observed: [...plan.observed, ...added] };
}

function branchOf(source: string, name: string): BranchedValue {
  return { name, rangeOf: name, natural: true, source };
}

function freeName(base: string, values: ReadonlyMap<string, QuantizedValue>): string {
  let name = base;
  for (let i = 1; values.has(name); i++) name = `${base}_${i}`;
  return name;
}

/** The plan of a network in which all layers take in what their nodes name. */
export function withoutBranches<T extends Omit<ActivationPlan, 'maxCodes'>>(plan: T): T {
  const isOfGraph = (name: string) => plan.values.get(name)!.source === undefined;
  return {
    ...plan,
    values: new Map([...plan.values].filter(([name]) => isOfGraph(name))),
    observed: plan.observed.filter(isOfGraph),
    nonNegative: new Set([...plan.nonNegative].filter(isOfGraph)),
    branches: new Map(),
  };
}

/** The quantized value that a layer takes in; undefined where its input stays in floating point. */
export function layerInput(
  { values, branches }: Pick<ActivationPlan, 'values' | 'branches'>,
  node: Node,
): QuantizedValue | undefined {
  return branches.get(node) ?? values.get(node.inputs[0]!);
}

/** The layers with the bits that their inputs have in the end, and the reason where these are not what was asked for. */
export function settleActivationBits(layers: readonly PlannedLayer[], activations: ActivationPlan): PlannedLayer[] {
  const { maxCodes } = activations;
  return layers.map((planned) => {
    const range = inputRange(planned, activations);
    if (range === null || askedFor(planned) === maxCodes.get(range)) return planned;
    const isDecisive = (layer: PlannedLayer) =>
      inputRange(layer, activations) === range && askedFor(layer) === maxCodes.get(range);
    const other = layers.find(isDecisive)!;
    const { activationBits } = other.applied;
    const why = `${activationBits}-bit activations: ${other.layer.node.name} takes the same values with ${activationBits} bits`;
    return {
      ...planned,
      applied: { ...planned.applied, activationBits },
      reason: planned.reason === null ? why : `${planned.reason}; ${why}`,
    };
  });
}

function askedFor({ applied }: PlannedLayer): MaxCode {
  return MAX_CODES[applied.activationBits!];
}

/** The value whose range gives the scale of the layer's input; null where the input stays in floating point. */
function inputRange(
  { layer, applied }: PlannedLayer,
  plan: Pick<ActivationPlan, 'values' | 'branches'>,
): string | null {
  if (applied.activationBits === null || !layer.inMainGraph) return null;
  return layerInput(plan, layer.node)?.rangeOf ?? null;
}

/**
 * Which quantized values have codes of 4 or 2 bits: those that layers take in, if all these layers ask for so few. Values that share a
 * scale, because operators between them only move elements, are judged together.
 *
 * What feeds no layer keeps 8 bits, such as the addends of a residual connection that only the addition uses: no kernel gets
 * faster by fewer levels there, and the addition would round twice as coarsely.
 */
import type { ActivationBits } from '@tritforge/contracts';
import type { MaxCode } from '../calibrate/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { ActivationPlan, QuantizedValue } from './plan-activations.js';

type Values = ReadonlyMap<string, QuantizedValue>;

const MAX_CODES: Readonly<Record<ActivationBits, MaxCode>> = { 8: 255, 4: 15, 2: 3 };

/** The largest code of every quantized value, by the value that is observed. */
export function chooseMaxCodes(layers: readonly PlannedLayer[], values: Values): Map<string, MaxCode> {
  const maxCodes = new Map<string, MaxCode>();
  for (const planned of layers) {
    const range = inputRange(planned, values);
    if (range === null) continue;
    const maxCode = MAX_CODES[planned.applied.activationBits!];
    if (maxCode > (maxCodes.get(range) ?? 0)) maxCodes.set(range, maxCode);
  }
  for (const { rangeOf } of values.values()) if (!maxCodes.has(rangeOf)) maxCodes.set(rangeOf, 255);
  return maxCodes;
}

/** The layers with the bits that their inputs have in the end, and the reason where these are not what was asked for. */
export function settleActivationBits(layers: readonly PlannedLayer[], activations: ActivationPlan): PlannedLayer[] {
  const { values, maxCodes } = activations;
  return layers.map((planned) => {
    const range = inputRange(planned, values);
    if (range === null || MAX_CODES[planned.applied.activationBits!] === maxCodes.get(range)) return planned;
    const isDecisive = (layer: PlannedLayer) =>
      inputRange(layer, values) === range && MAX_CODES[layer.applied.activationBits!] === maxCodes.get(range);
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

/** The value whose range gives the scale of the layer's input; null where the input stays in floating point. */
function inputRange({ layer, applied }: PlannedLayer, values: Values): string | null {
  if (applied.activationBits === null || !layer.inMainGraph) return null;
  return values.get(layer.node.inputs[0]!)?.rangeOf ?? null;
}

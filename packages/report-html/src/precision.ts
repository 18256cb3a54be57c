import type { LayerPrecision, LayerReport } from '@tritforge/contracts';

/** `ternary N=64`, `uniform 2-bit`, `int8`, … : what the weights of a layer are. */
export function weightPrecision({ bits, groupSize, planes }: LayerPrecision): string {
  if (bits === null) return 'floating point';
  if (bits === 2 && groupSize === null) return 'uniform 2-bit';
  const group = groupSize === null ? '' : ` N=${groupSize}`;
  if (bits !== 2) return `int${bits}${group}`;
  return `ternary${group}${planes === 2 ? ', two planes' : ''}`;
}

/** The same with the input: `ternary N=64, 8-bit input`. */
export function layerPrecision(precision: LayerPrecision): string {
  const { activationBits } = precision;
  const input = activationBits === null ? 'float input' : `${activationBits}-bit input`;
  return precision.bits === null && activationBits === null
    ? 'floating point'
    : `${weightPrecision(precision)}, ${input}`;
}

/** The class by which the style sheet colours marks of a layer. */
export function precisionClass({ bits, groupSize, planes }: LayerPrecision): string {
  if (bits === null) return 'k-float';
  if (bits !== 2) return bits === 8 ? 'k-int8' : 'k-int4';
  if (groupSize === null) return 'k-uniform';
  return planes === 2 ? 'k-planes' : `k-n${groupSize}`;
}

/** Elements of the weight; 0 where the report does not say. */
export function weightCount({ shape }: LayerReport): number {
  return shape === null ? 0 : shape.reduce((product, size) => product * size, 1);
}

/** A layer and its number in the model, from 1. */
export interface NumberedLayer {
  readonly number: number;
  readonly layer: LayerReport;
}

/** The quantized layers with the lowest value, lowest first; layers without one are left out. */
export function lowest(
  layers: readonly LayerReport[],
  count: number,
  figureOf: (layer: LayerReport) => number | null | undefined,
): NumberedLayer[] {
  return layers
    .map((layer, index) => ({ layer, number: index + 1, value: figureOf(layer) ?? Number.POSITIVE_INFINITY }))
    .filter(({ value }) => value < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.value - b.value)
    .slice(0, count);
}

import type { QuantizedModel } from '../artifact/build-graph.js';
import type { PlannedLayer } from '../layers/layer.js';

/** The value at which a layer is judged: behind the activation function that its quantization implies, if it has one. */
export function judgedValue({ layer }: PlannedLayer, source: Pick<QuantizedModel, 'activations'>): string {
  return source.activations.results.get(layer.node) ?? layer.node.outputs[0]!;
}

/** The judged values of all quantized layers whose outputs can be observed, without repetition. */
export function judgedValues(source: Pick<QuantizedModel, 'activations' | 'layers'>): string[] {
  const visible = source.layers.filter(({ layer, applied }) => layer.inMainGraph && applied.bits !== null);
  return [...new Set(visible.map((planned) => judgedValue(planned, source)))];
}

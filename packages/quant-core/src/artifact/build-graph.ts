/** START HERE: writes the quantized model, given what is quantized (activations/plan-activations.ts) and the numbers. */

import type { Model } from '../ir/index.js';
import { AcceleratedWriter } from './accelerated/accelerated-writer.js';
import { GraphWriter } from './graph-writer.js';
import { NBitsWriter } from './nbits/nbits-writer.js';
import type { BuildOptions, QuantizedModel } from './quantized-model.js';
import type { WeightEncoding } from './weight-encoders.js';

export type { ActivationScale, BuildOptions, QuantizedModel } from './quantized-model.js';

const WRITERS: Readonly<Partial<Record<WeightEncoding, typeof GraphWriter>>> = {
  accelerated: AcceleratedWriter,
  integerReference: AcceleratedWriter,
  'ort-nbits': NBitsWriter,
  nbitsReference: NBitsWriter,
};

/** A new model; the prepared one stays as it is, apart from tensors that both refer to. */
export async function buildGraph(source: QuantizedModel, options: BuildOptions): Promise<Model> {
  const writer = new (WRITERS[options.encoding] ?? GraphWriter)(source, options);
  for (const input of source.prepared.graph.inputs) writer.quantizeFloat(input.name);
  for (const node of source.prepared.graph.nodes) await writer.addNode(node);
  return writer.finish();
}

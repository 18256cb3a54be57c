import type { Model, Node, Tensor } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import { GraphWriter } from './graph-writer.js';
import type { QuantizedModel } from './quantized-model.js';

/** Names, in the main graph, of what a layer reads. */
export interface LayerSlots {
  /** Its input as the layer finds it: behind QuantizeLinear and DequantizeLinear where it is quantized. */
  readonly input: string;
  /** Initializer with the layer's weights as floats; layers that share a weight share it. */
  readonly weight: string;
  /** Initializer with its bias as floats; null where it has none. */
  readonly bias: string | null;
}

/** A network while its layers are quantized one after the other. */
export interface WorkingGraph {
  readonly model: Model;
  /** By the layer's node in the prepared model. */
  readonly slots: ReadonlyMap<Node, LayerSlots>;
  /** By its name, a node of the prepared model as it was written. */
  readonly written: ReadonlyMap<string, Node>;
}

/** Weights and biases as float constants, to be replaced one after the other. */
export class WorkingWriter extends GraphWriter {
  protected override async bias(node: Node, bias: Tensor): Promise<string> {
    return this.builder.constant(`${node.name}_working_bias`, bias);
  }
}

/**
 * The network with quantized activations, and with the weights and biases of every quantized layer as they are in the plan:
 * those of layers that wait for their turn are the original ones.
 * @param Writer writes nodes in a way of its own
 */
export async function buildWorkingGraph(
  source: Omit<QuantizedModel, 'weights'>,
  minimumOpset: number,
  Writer: typeof WorkingWriter = WorkingWriter,
): Promise<WorkingGraph> {
  const quantized = source.layers.filter(({ applied, layer }) => applied.bits !== null && layer.inMainGraph);
  const weights = new Map(source.layers.map(({ layer }) => [layer.weight, asIs(layer.weight, layer.transposed)]));
  const writer = new Writer({ ...source, weights }, { encoding: 'reference', minimumOpset });
  for (const input of source.prepared.graph.inputs) writer.quantizeFloat(input.name);
  for (const node of source.prepared.graph.nodes) await writer.addNode(node);
  const model = writer.finish();
  const written = new Map(model.graph.nodes.map((node) => [node.name, node]));
  const stored = new Map(model.graph.nodes.map((node) => [node.outputs[0]!, node.inputs[0]!]));
  const slots = new Map<Node, LayerSlots>();
  for (const { layer } of quantized) {
    const node = written.get(layer.node.name)!;
    const bias = layer.bias === null ? null : node.inputs[2]!;
    const operand = node.inputs[layer.weightPosition]!;
    slots.set(layer.node, {
      input: node.inputs[1 - layer.weightPosition]!,
      weight: layer.turned ? stored.get(operand)! : operand,
      bias,
    });
  }
  return { model, slots, written };
}

/** Stands for codes that are not there yet: only `decoded` is written. */
function asIs(weight: Tensor, transposed: boolean): EncodedWeight {
  return {
    codes: { kind: 'int8', values: weight },
    channelScales: new Float32Array(0),
    shape: weight.shape,
    transposed,
    decoded: weight,
  };
}

/**
 * START HERE: writes a quantized graph with ONNX Runtime's own operators MatMulNBits and GatherBlockQuantized where they have a form
 * for the weight (block-weights.ts). All else is written as in the portable artifact.
 *
 * MatMulNBits multiplies the exact codes. At accuracy level 4 it first rounds its input to int8, with a scale for each block
 * of each row: that is what makes it fast, and the only difference from products of floats (44 to 50 dB on Gaussian inputs).
 * `nbitsReference` asks for level 1 instead, which computes in floats, to prove what is stored.
 */

import { roundedBias } from '../../int8/index.js';
import {
  intValue,
  type Model,
  type Node,
  readFloats,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import type { EncodedWeight, GroupCodes, PlaneCodes } from '../../layers/encoded-weight.js';
import type { Layer, PlannedLayer } from '../../layers/layer.js';
import { GraphWriter } from '../graph-writer.js';
import type { BuildOptions, QuantizedModel } from '../quantized-model.js';
import { blockWeights } from './block-weights.js';
import { BITS_OF_KIND, packBlocks } from './pack-blocks.js';

const DOMAIN = 'com.microsoft';
const DOMAIN_VERSION = 1;
/** What the operator computes in: int8, or float32. */
const ACCURACY_LEVEL = { fast: 4, exact: 1 } as const;

/** Writes the graph of the artifact profile `ort-nbits`; used like its base. */
export class NBitsWriter extends GraphWriter {
  readonly #options: BuildOptions;
  readonly #blocks: ReadonlyMap<Tensor, GroupCodes>;
  readonly #written = new Map<PlaneCodes, readonly [packed: string, scales: string]>();
  #calls = 0;

  constructor(source: QuantizedModel, options: BuildOptions) {
    super(source, options);
    this.#options = options;
    this.#blocks = blockWeights(source);
  }

  override async addNode(node: Node): Promise<void> {
    const planned = this.layers.get(node);
    const weight = planned && this.source.weights.get(planned.layer.weight)!;
    const codes = planned && this.#blocks.get(planned.layer.weight);
    if (!planned || !weight || !codes) return super.addNode(node);
    if (planned.layer.isTable) return this.#addBlockTable(planned.layer, weight, codes);
    const { roles, results, values } = this.source.activations;
    const isInteger = roles.get(node) === 'layer';
    const input = isInteger ? this.dequantized.get(this.layerInput(node))! : node.inputs[0]!;
    const result = isInteger ? results.get(node)! : node.outputs[0]!;
    const value = isInteger ? values.get(result) : undefined;
    const isNatural = value?.natural === true;
    const output = isNatural ? this.builder.value(`${result}_float`) : node.outputs[0]!;
    await this.#addProduct(planned, weight, codes, { input, output, isInteger });
    if (isNatural) this.readBack(result, this.quantize(value, output));
    else this.quantizeFloat(output);
  }

  override finish(): Model {
    const model = super.finish();
    if (this.#calls === 0) return model;
    return { ...model, opsetImports: new Map([...model.opsetImports, [DOMAIN, DOMAIN_VERSION]]) };
  }

  /** The bytes that a product of the same weight reads, in two dimensions. */
  async #addBlockTable({ node, weightName, layout }: Layer, weight: EncodedWeight, codes: GroupCodes): Promise<void> {
    const [blocks, scales] = await this.#operands(weightName, weight, codes, codes);
    const bits = BITS_OF_KIND[codes.kind];
    const shape = [layout.outputChannels, (layout.inputChannels * bits) / 8];
    const rows = [blocks, this.builder.shared('shape', tensorFromInt64([2], shape))];
    const table = this.builder.add('Reshape', rows, `${weightName}_block_rows`);
    this.#calls++;
    this.builder.call(DOMAIN, 'GatherBlockQuantized', [table, node.inputs[1]!, scales], [node.name, node.outputs[0]!], {
      bits: intValue(bits),
      block_size: intValue(codes.groupSize),
      gather_axis: intValue(0),
      quantize_axis: intValue(1),
    });
    this.quantizeFloat(node.outputs[0]!);
  }

  async #addProduct(
    planned: PlannedLayer,
    weight: EncodedWeight,
    codes: GroupCodes,
    { input, output, isInteger }: { readonly input: string; readonly output: string; readonly isInteger: boolean },
  ): Promise<void> {
    const { node, weightName } = planned.layer;
    const bias = await this.#bias(planned, weight, isInteger);
    const call = async (plane: PlaneCodes, name: readonly [string, string], operands: readonly string[]) => {
      const constants = await this.#operands(weightName, weight, codes, plane);
      this.#call(codes, [input, ...constants, ...operands], name);
    };
    // zero_points, g_idx, bias
    const withBias = bias === null ? [] : ['', '', bias];
    if (codes.residual === null) return call(codes, [node.name, output], withBias);
    const planes = ['first', 'second'].map((which) => this.builder.value(`${output}_${which}_plane`));
    await call(codes, [node.name, planes[0]!], withBias);
    await call(codes.residual, [`${node.name}_residual`, planes[1]!], []);
    this.builder.addNamed('Add', planes, output);
  }

  #call(codes: GroupCodes, inputs: string[], name: readonly [name: string, output: string]): void {
    this.#calls++;
    const accuracy = this.#options.encoding === 'nbitsReference' ? ACCURACY_LEVEL.exact : ACCURACY_LEVEL.fast;
    this.builder.call(DOMAIN, 'MatMulNBits', inputs, name, {
      K: intValue(codes.layout.inputChannels),
      N: intValue(codes.layout.outputChannels),
      bits: intValue(BITS_OF_KIND[codes.kind]),
      block_size: intValue(codes.groupSize),
      accuracy_level: intValue(accuracy),
    });
  }

  async #operands(
    name: string,
    { channelScales }: EncodedWeight,
    codes: GroupCodes,
    plane: PlaneCodes,
  ): Promise<readonly [string, string]> {
    const known = this.#written.get(plane);
    if (known !== undefined) return known;
    const { packed, scales } = await packBlocks(codes, plane, channelScales);
    const keep = async (tensor: Tensor) => (await this.#options.scratch?.keep(tensor)) ?? tensor;
    const written = [
      this.builder.constant(`${name}_${codes.kind}_blocks`, await keep(packed)),
      this.builder.constant(`${name}_block_scales`, await keep(scales)),
    ] as const;
    this.#written.set(plane, written);
    return written;
  }

  /** The bias as the reference has it: rounded to int32 units where the layer's input is quantized. */
  async #bias({ layer }: PlannedLayer, { channelScales }: EncodedWeight, isInteger: boolean): Promise<string | null> {
    if (layer.bias === null || layer.node.opType === 'MatMul') return null;
    const floats = await readFloats(layer.bias);
    const base = layer.node.inputs[2] || `${layer.node.name}_bias`;
    if (!isInteger) return this.builder.constant(`${base}_float`, tensorFromFloats([floats.length], floats));
    const rounded = roundedBias(floats, this.scaleOf(this.layerInput(layer.node)).scale, channelScales);
    return this.builder.constant(`${base}_rounded`, tensorFromFloats([rounded.length], rounded));
  }
}

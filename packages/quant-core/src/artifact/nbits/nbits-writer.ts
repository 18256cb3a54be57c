/**
 * START HERE: writes a quantized graph with ONNX Runtime's own operator MatMulNBits where it has a form for the weight.
 *
 *   MatMul, Gemm   with ternary weights, N = 32, 64 or 128     → 2 bits
 *                  with two ternary planes of that kind        → 2 bits twice, and Add
 *                  with 4-bit weights, N = 16 to 128           → 4 bits
 *
 * All else is written as in the portable artifact. Of 2 bits, kernels that compute in integers take these block sizes alone; other
 * sizes would be unpacked to floats in every run.
 *
 * The operator multiplies the exact codes. At accuracy level 4 it first rounds its input to int8, with a scale for each block
 * of each row: that is what makes it fast, and the only difference from products of floats (44 to 50 dB on Gaussian inputs).
 * `nbitsReference` asks for level 1 instead, which computes in floats, to prove what is stored.
 */

import { quantizeBias } from '../../int8/index.js';
import {
  floatAttribute,
  intAttribute,
  intValue,
  type Model,
  type Node,
  readFloats,
  type Tensor,
  tensorFromFloats,
} from '../../ir/index.js';
import type { EncodedWeight, GroupCodes, PlaneCodes } from '../../layers/encoded-weight.js';
import type { PlannedLayer } from '../../layers/layer.js';
import { GraphWriter } from '../graph-writer.js';
import type { BuildOptions, QuantizedModel } from '../quantized-model.js';
import { BITS_OF_KIND, packBlocks } from './pack-blocks.js';

const DOMAIN = 'com.microsoft';
const DOMAIN_VERSION = 1;
const BLOCK_SIZES = { ternary: [32, 64, 128], int4: [16, 32, 64, 128] } as const;
/** What the operator computes in: int8, or float32. */
const ACCURACY_LEVEL = { fast: 4, exact: 1 } as const;

/** The codes of a layer that MatMulNBits can multiply; null for all others. */
export function nbitsCodes({ layer, applied }: PlannedLayer, { codes }: EncodedWeight): GroupCodes | null {
  if (applied.bits === null || codes.kind === 'int8' || !layer.inMainGraph) return null;
  const sizes: readonly number[] = BLOCK_SIZES[codes.kind];
  return sizes.includes(codes.groupSize) && isRowProduct(layer.node, layer.weightPosition, layer.bias) ? codes : null;
}

/** Whether the node multiplies rows of its input by the weight, and adds a vector at most. */
function isRowProduct(node: Node, weightPosition: number, bias: Tensor | null): boolean {
  if (node.opType === 'MatMul') return weightPosition === 1;
  if (node.opType !== 'Gemm' || intAttribute(node, 'transA', 0) !== 0) return false;
  const isScaled = floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1;
  return !isScaled && (bias !== null || (node.inputs[2] ?? '') === '');
}

/** Writes the graph of the artifact profile `ort-nbits`; used like its base. */
export class NBitsWriter extends GraphWriter {
  readonly #options: BuildOptions;
  readonly #written = new Map<PlaneCodes, readonly [packed: string, scales: string]>();
  #products = 0;

  constructor(source: QuantizedModel, options: BuildOptions) {
    super(source, options);
    this.#options = options;
  }

  override async addNode(node: Node): Promise<void> {
    const planned = this.layers.get(node);
    const weight = planned && this.source.weights.get(planned.layer.weight)!;
    const codes = weight && nbitsCodes(planned, weight);
    if (!codes) return super.addNode(node);
    const { roles, results, values } = this.source.activations;
    const isInteger = roles.get(node) === 'layer';
    const input = isInteger ? this.dequantized.get(node.inputs[0]!)! : node.inputs[0]!;
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
    if (this.#products === 0) return model;
    return { ...model, opsetImports: new Map([...model.opsetImports, [DOMAIN, DOMAIN_VERSION]]) };
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
    this.#products++;
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
    const { values, scales } = quantizeBias(floats, this.scaleOf(layer.node.inputs[0]!).scale, channelScales);
    const rounded = Float32Array.from(values, (value, i) => value * scales[i]!);
    return this.builder.constant(`${base}_rounded`, tensorFromFloats([rounded.length], rounded));
  }
}

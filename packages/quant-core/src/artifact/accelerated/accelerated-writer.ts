/**
 * START HERE: writes a quantized graph with operators of the domain `tritforge` where it has them (functions.ts).
 *
 * Its images are uint8 with channels last. A quantized value v has its codes in the original layout, `v_uint8`, in the other
 * one, `v_channels_last`, or in both with a Transpose between them; the one that nothing uses is dropped in the end. All that the
 * domain does not cover is written as in the portable artifact.
 *
 *   Conv            → TernaryConv, Int8Conv, together with the addition of a residual connection
 *   Gemm            → TernaryGemm, Int8Gemm, or TernaryMatMul, Int8MatMul for a result in floating point
 *   MatMul          → TernaryMatMulNoBias, Int8MatMulNoBias
 *   MaxPool         → MaxPool
 *   channel shuffle → the same on the last axis (channel-shuffles.ts)
 *   Concat, Pad, …  → the same on channels-last codes (channels-last.ts)
 *   Add, Mul, …     → dequantize, compute and quantize in that layout
 */
import { dataInputsOf, integerOp } from '../../activations/integer-ops.js';
import type { BranchedValue } from '../../activations/plan-activations.js';
import { quantizeBias } from '../../int8/index.js';
import {
  intAttribute,
  intsAttribute,
  intsValue,
  intValue,
  type Model,
  type Node,
  readFloats,
  type Tensor,
  tensorFromInt32,
  tensorFromInt64,
} from '../../ir/index.js';
import type { PlannedLayer } from '../../layers/layer.js';
import { GraphWriter } from '../graph-writer.js';
import type { BuildOptions, QuantizedModel } from '../quantized-model.js';
import { type ChannelShuffle, findChannelShuffles } from './channel-shuffles.js';
import { type Adapted, onChannelsLast, TO_CHANNELS_FIRST, TO_CHANNELS_LAST } from './channels-last.js';
import { type Coverage, type CoveredConvolution, coverConvolutions, explicitPads } from './convolutions.js';
import {
  convolutionName,
  functionNamed,
  gemmName,
  matrixProductName,
  TRITFORGE_DOMAIN,
  TRITFORGE_VERSION,
  type WeightKind,
} from './functions.js';
import { type WeightOperands, WeightOperandWriter } from './weight-operands.js';

/** Model-local functions came with this version of the format. */
const FUNCTIONS_IR_VERSION = 8;
/** Largest code of a value that uses all of a uint8. */
const ALL_CODES = 255;

/** @param maxCode of the result; null where it stays in floating point */
function matrixOperator(node: Node, weights: WeightKind, maxCode: number | null): string {
  if (node.opType !== 'Gemm') return matrixProductName(weights);
  if (maxCode === null) return gemmName({ weights, result: 'float' });
  return gemmName({ weights, result: maxCode < ALL_CODES ? 'clipped' : 'quantized' });
}

/** Writes the graph of the accelerated artifact; used like its base. */
export class AcceleratedWriter extends GraphWriter {
  readonly #coverage: Coverage;
  readonly #operandWriter: WeightOperandWriter;
  /** Weights that tables read too, as int8 rows. */
  readonly #tables: ReadonlySet<Tensor>;
  /** Names of the codes with channels last, of the values that have them. */
  readonly #images = new Map<string, string>();
  readonly #shuffles: ReadonlyMap<Node, ChannelShuffle>;

  constructor(source: QuantizedModel, options: BuildOptions) {
    super(source, options);
    this.#coverage = coverConvolutions(source);
    this.#shuffles = findChannelShuffles(
      source.prepared.graph,
      this.#coverage.shapes,
      (node) => source.activations.roles.get(node) === 'passThrough',
    );
    const decoded = options.encoding === 'integerReference';
    this.#operandWriter = new WeightOperandWriter(this.builder, { decoded, scratch: options.scratch });
    const tables = [...this.layers.values()].filter(({ layer }) => layer.isTable);
    this.#tables = new Set(decoded ? [] : tables.map(({ layer }) => layer.weight));
  }

  override async addNode(node: Node): Promise<void> {
    const convolution = this.#coverage.convolutions.get(node) ?? this.#coverage.byAddition.get(node);
    if (convolution !== undefined) {
      // The residual may be computed later than the convolution that adds it.
      if (convolution.addition === null || convolution.addition === node) await this.#addConvolution(convolution);
    } else if (this.#isMatrixProduct(node)) await this.#addMatrixProduct(this.layers.get(node)!);
    else if (!this.#addShuffle(node) && !this.#addOnImages(node)) await super.addNode(node);
  }

  override finish(): Model {
    const model = super.finish();
    const opset = model.opsetImports.get('')!;
    const calls = model.graph.nodes.filter(({ domain }) => domain === TRITFORGE_DOMAIN);
    if (calls.length === 0) return model;
    const called = [...new Set(calls.map(({ opType }) => opType))].sort();
    return {
      ...model,
      irVersion: Math.max(model.irVersion, FUNCTIONS_IR_VERSION),
      opsetImports: new Map([...model.opsetImports, [TRITFORGE_DOMAIN, TRITFORGE_VERSION]]),
      functions: [...model.functions, ...called.map((name) => functionNamed(name, opset))],
    };
  }

  async #addConvolution({ planned, pads, addition }: CoveredConvolution): Promise<void> {
    const { node, weight: original } = planned.layer;
    const own = this.source.activations.results.get(node)!;
    const result = addition === null ? own : this.source.activations.results.get(addition)!;
    const weight = await this.#operands(planned);
    const input = this.layerInput(node);
    const { maxCode } = this.scaleOf(result);
    const variant = { weights: weight.weights, add: addition !== null, clip: maxCode < ALL_CODES };
    const inputs = [
      ...this.#layerInputs(this.#image(input), input, weight),
      ...this.parameters(own),
      await this.#biasCodes(planned),
      ...(weight.groupCodes === null ? [] : [weight.groupCodes]),
      ...(addition === null ? [] : this.#residual(addition, own)),
    ];
    const output = this.builder.value(`${result}_channels_last`);
    this.builder.call(TRITFORGE_DOMAIN, convolutionName(variant), inputs, [node.name, output], {
      kernel_shape: intsValue(original.shape.slice(2)),
      strides: intsValue(intsAttribute(node, 'strides', [1, 1])),
      pads: intsValue(pads),
      dilations: intsValue(intsAttribute(node, 'dilations', [1, 1])),
      group: intValue(intAttribute(node, 'group', 1)),
      x_max: intValue(this.scaleOf(input).maxCode),
      ...(variant.clip && { y_max: intValue(maxCode) }),
      ...(weight.weights === 'Ternary' && {
        group_size: intValue(planned.applied.groupSize!),
        weight_shape: intsValue(original.shape),
      }),
    });
    this.#readBackImage(result, output);
  }

  async #addMatrixProduct(planned: PlannedLayer): Promise<void> {
    const { node, layout } = planned.layer;
    const weight = await this.#operands(planned);
    const input = this.layerInput(node);
    const result = this.source.activations.results.get(node)!;
    const value = this.source.activations.values.get(result);
    const isQuantized = node.opType === 'Gemm' && value?.natural === true;
    const resultMax = isQuantized ? this.scaleOf(result).maxCode : null;
    const inputs = [
      ...this.#layerInputs(this.codes.get(input)!, input, weight),
      ...(isQuantized ? this.parameters(result) : []),
      ...(node.opType === 'Gemm' ? [await this.#biasCodes(planned)] : []),
      ...(weight.groupCodes === null ? [] : [weight.groupCodes]),
    ];
    const output = value?.natural === true ? this.builder.value(`${result}_product`) : node.outputs[0]!;
    this.builder.call(TRITFORGE_DOMAIN, matrixOperator(node, weight.weights, resultMax), inputs, [node.name, output], {
      K: intValue(layout.inputChannels),
      N: intValue(layout.outputChannels),
      x_max: intValue(this.scaleOf(input).maxCode),
      ...(resultMax !== null && resultMax < ALL_CODES && { y_max: intValue(resultMax) }),
      ...(weight.weights === 'Ternary' && { group_size: intValue(planned.applied.groupSize!) }),
    });
    if (isQuantized) this.readBack(result, output);
    else if (value?.natural === true) this.readBack(result, this.quantize(value, output));
    else this.quantizeFloat(output);
  }

  /** Writes the node on codes with channels last, if all its inputs have them and it has such a form. */
  #addOnImages(node: Node): boolean {
    const role = this.source.activations.roles.get(node);
    const op = role === 'arithmetic' || role === 'passThrough' ? integerOp(node, this.index) : null;
    if (op === null) return false;
    const data = dataInputsOf(node, op);
    const images = data.map((name) => this.#images.get(name));
    if (!images.every((name) => name !== undefined)) return false;
    if (node.opType === 'MaxPool') return this.#addMaxPool(node, images[0]!);
    const adapted = onChannelsLast(node, {
      index: this.index,
      builder: this.builder,
      zeroPoint: () => this.zeroPoint(node.outputs[0]!),
    });
    if (adapted === null) return false;
    if (role === 'passThrough') this.#addMove(node, images, adapted);
    else this.#addArithmetic(node, data, images, adapted);
    return true;
  }

  /** Writes a whole shuffle at its first node. @returns whether the node is part of one that was or will be written so */
  #addShuffle(node: Node): boolean {
    const shuffle = this.#shuffles.get(node);
    const image = shuffle && this.#images.get(shuffle.input);
    if (shuffle === undefined || image === undefined) return false;
    if (node !== shuffle.nodes[0]) return true;
    const { groups, perGroup, output } = shuffle;
    const shape = (sizes: readonly number[]) => this.builder.shared('shape', tensorFromInt64([sizes.length], sizes));
    // 0 keeps batch, height and width.
    const split = this.builder.add('Reshape', [image, shape([0, 0, 0, groups, perGroup])], `${output}_groups`);
    const perm = intsValue([0, 1, 2, 4, 3]);
    const swapped = this.builder.add('Transpose', [split], `${output}_shuffled`, { perm });
    const joined = [swapped, shape([0, 0, 0, groups * perGroup])];
    this.#readBackImage(output, this.builder.add('Reshape', joined, `${output}_channels_last`));
    return true;
  }

  #addMaxPool(node: Node, image: string): boolean {
    const kernel = intsAttribute(node, 'kernel_shape', []);
    const pads = explicitPads(node, kernel, this.#coverage.shapes);
    if (pads === null || kernel.length !== 2 || intAttribute(node, 'ceil_mode', 0) !== 0) return false;
    const output = this.builder.value(`${node.outputs[0]}_channels_last`);
    this.builder.call(TRITFORGE_DOMAIN, 'MaxPool', [image], [node.name, output], {
      kernel_shape: intsValue(kernel),
      strides: intsValue(intsAttribute(node, 'strides', [1, 1])),
      pads: intsValue(pads),
      dilations: intsValue(intsAttribute(node, 'dilations', [1, 1])),
      ceil_mode: intValue(0),
    });
    this.#readBackImage(node.outputs[0]!, output);
    return true;
  }

  #addMove(node: Node, images: readonly string[], { parameters, attributes }: Adapted): void {
    const outputs = node.outputs.map((name) => (name === '' ? '' : this.builder.value(`${name}_channels_last`)));
    this.builder.nodes.push({
      ...node,
      inputs: [...images, ...parameters],
      outputs,
      attributes: new Map([...node.attributes, ...Object.entries(attributes)]),
    });
    node.outputs.forEach((name, i) => {
      if (name !== '') this.#readBackImage(name, outputs[i]!);
    });
  }

  #addArithmetic(node: Node, data: readonly string[], images: readonly string[], { attributes }: Adapted): void {
    const result = this.source.activations.results.get(node)!;
    const operands = data.map((name, i) => this.#dequantizedImage(name, images[i]!));
    const floats = this.builder.value(`${result}_channels_last_float`);
    this.builder.nodes.push({
      ...node,
      inputs: operands,
      outputs: [floats],
      attributes: new Map([...node.attributes, ...Object.entries(attributes)]),
    });
    const codes = this.builder.value(`${result}_channels_last`);
    this.#readBackImage(result, this.quantizeTo(codes, result, floats));
  }

  protected override addBranch(value: BranchedValue): void {
    const { name, source } = value;
    const image = this.#images.get(source);
    if (image === undefined) super.addBranch(value);
    else {
      const codes = this.builder.value(`${name}_channels_last`);
      this.#readBackImage(name, this.quantizeTo(codes, name, this.#dequantizedImage(source, image)));
    }
  }

  #dequantizedImage(name: string, image: string): string {
    return this.builder.add('DequantizeLinear', [image, ...this.parameters(name)], `${name}_channels_last_dequantized`);
  }

  /** Makes codes with channels last available to all kinds of users. */
  #readBackImage(name: string, image: string): void {
    this.#images.set(name, image);
    const perm = intsValue(TO_CHANNELS_FIRST);
    this.readBack(name, this.builder.add('Transpose', [image], `${name}_uint8`, { perm }));
  }

  /** The codes of a value of four dimensions with channels last. */
  #image(name: string): string {
    const known = this.#images.get(name);
    if (known !== undefined) return known;
    const perm = intsValue(TO_CHANNELS_LAST);
    const image = this.builder.add('Transpose', [this.codes.get(name)!], `${name}_channels_last`, { perm });
    this.#images.set(name, image);
    return image;
  }

  /** Whether the node is a layer that multiplies rows of its input by a matrix. */
  #isMatrixProduct(node: Node): boolean {
    const isLayer = this.source.activations.roles.get(node) === 'layer';
    return isLayer && node.opType !== 'Conv' && intAttribute(node, 'transA', 0) === 0;
  }

  async #operands({ layer: { weightName: name, weight: original } }: PlannedLayer): Promise<WeightOperands> {
    const weight = this.source.weights.get(original)!;
    if (!this.#tables.has(original)) return this.#operandWriter.operands(name, weight);
    const codes = this.weights.rows(name, weight);
    return { weights: 'Int8', codes, scales: this.weights.scales(name, weight), groupCodes: null };
  }

  /** x, x_scale, x_zero_point, w, w_scale */
  #layerInputs(codes: string, input: string, weight: WeightOperands): string[] {
    return [codes, ...this.parameters(input), weight.codes, weight.scales];
  }

  /** r, r_scale, r_zero_point, z_scale, z_zero_point */
  #residual(addition: Node, own: string): string[] {
    const other = addition.inputs.find((name) => name !== own)!;
    const result = this.source.activations.results.get(addition)!;
    return [this.#image(other), ...this.parameters(other), ...this.parameters(result)];
  }

  /** The bias in units of x_scale·w_scale; zeros where the layer has none. */
  async #biasCodes({ layer }: PlannedLayer): Promise<string> {
    const { channelScales } = this.source.weights.get(layer.weight)!;
    const count = channelScales.length;
    if (layer.bias === null) return this.builder.shared('no_bias', tensorFromInt32([count], new Int32Array(count)));
    const { scale } = this.scaleOf(this.layerInput(layer.node));
    const { values } = quantizeBias(await readFloats(layer.bias), scale, channelScales);
    return this.builder.constant(`${layer.node.inputs[2]}_int32`, tensorFromInt32([count], values));
  }
}

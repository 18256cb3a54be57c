/**
 * Writes a quantized graph node by node with standard operators.
 *
 * Of a quantized value v there are up to three: `v_uint8` in codes, `v` (or `v_dequantized`, where v itself stays computed in
 * floating point) read back from them, and `v_float` before quantization. So users that are not quantized, and graph outputs,
 * keep their names. Codes of 4 bits are `v_unclipped` first.
 *
 *   layer, arithmetic     DequantizeLinear → op → QuantizeLinear       onnxruntime fuses the three
 *   passThrough           op on codes
 *   implied               left out
 *   second quantization   v → QuantizeLinear → Clip → DequantizeLinear, for the layers that take it in
 *
 * A table is stored as int8 rows with a scale each, of which only those that are looked up become floats. DequantizeLinear before
 * Gather would convert the whole table in every run: onnxruntime 1.30 does not compute it beforehand (2 ms instead of 9 µs for a
 * row of a table of 32,000 × 512).
 *
 *   table                 Gather(codes) → Cast → Mul(Gather(scales) → Unsqueeze)
 */

import { dataInputsOf, integerOp } from '../activations/integer-ops.js';
import type { BranchedValue, QuantizedValue } from '../activations/plan-activations.js';
import { quantizeBias } from '../int8/index.js';
import {
  type Graph,
  GraphIndex,
  intValue,
  type Model,
  type Node,
  readFloats,
  scalarFloat,
  scalarUint8,
  subgraphsOf,
  type Tensor,
  tensorFromFloats,
  tensorFromInt32,
  tensorFromInt64,
} from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { removeUnused } from '../passes/edit-graph.js';
import { GraphBuilder } from '../passes/graph-builder.js';
import type { ActivationScale, BuildOptions, QuantizedModel } from './quantized-model.js';
import { WeightWriter } from './weight-encoders.js';

/** Add the inputs, then every node of the prepared model in order, then {@link finish}. */
export class GraphWriter {
  protected readonly source: QuantizedModel;
  readonly #options: BuildOptions;
  protected readonly builder: GraphBuilder;
  protected readonly weights: WeightWriter;
  protected readonly index: GraphIndex;
  protected readonly layers: ReadonlyMap<Node, PlannedLayer>;
  /** Name of the codes of each quantized value. */
  protected readonly codes = new Map<string, string>();
  /** Name under which integer operators find a quantized value dequantized. */
  protected readonly dequantized = new Map<string, string>();

  constructor(source: QuantizedModel, options: BuildOptions) {
    this.source = source;
    this.#options = options;
    this.builder = new GraphBuilder(source.prepared);
    this.weights = new WeightWriter(this.builder, options.encoding);
    this.index = new GraphIndex(source.prepared.graph);
    this.layers = new Map(
      source.layers.filter(({ applied }) => applied.bits !== null).map((planned) => [planned.layer.node, planned]),
    );
  }

  async addNode(node: Node): Promise<void> {
    const role = this.source.activations.roles.get(node);
    const planned = this.layers.get(node);
    if (role === 'implied') return;
    if (planned?.layer.isTable && !this.weights.isDecoded) this.addTable(planned.layer);
    else if (role === 'passThrough') this.#addPassThrough(node);
    else if (role === undefined) this.#addFloat(node);
    else await this.#addInteger(node);
  }

  /** Quantizes a value that was computed in floating point, if layers want it. */
  quantizeFloat(name: string): void {
    const value = this.source.activations.values.get(name);
    if (value === undefined || value.natural) return;
    const codes = this.quantize(value, name);
    this.dequantized.set(name, this.dequantize(value, codes, this.builder.value(`${name}_dequantized`)));
  }

  finish(): Model {
    const { prepared } = this.source;
    const opsetImports = new Map(prepared.opsetImports);
    opsetImports.set('', Math.max(opsetImports.get('') ?? 0, this.#options.minimumOpset));
    const { nodes, initializers } = this.builder;
    const graph: Graph = { ...prepared.graph, nodes, initializers, valueInfo: new Map() };
    const model: Model = { ...prepared, opsetImports, graph, producer: 'tritforge' };
    removeUnused(model, this.#options.keepValues);
    return model;
  }

  /** Looks codes of rows up, and then makes floats of them. */
  protected addTable({ node, weightName, weight: original }: Layer): void {
    const weight = this.source.weights.get(original)!;
    const indices = node.inputs[1]!;
    const output = node.outputs[0]!;
    const codes = this.builder.value(`${output}_codes`);
    this.builder.nodes.push({ ...node, inputs: [this.weights.rows(weightName, weight), indices], outputs: [codes] });
    const floats = this.builder.add('Cast', [codes], `${output}_float`, { to: intValue(1) });
    const scales = [this.weights.scales(weightName, weight), indices];
    const rowScales = this.builder.add('Gather', scales, `${output}_row_scales`, { axis: intValue(0) });
    const lastAxis = this.builder.shared('last_axis', tensorFromInt64([1], [-1]));
    const column = this.builder.add('Unsqueeze', [rowScales, lastAxis], `${output}_column_scales`);
    this.builder.addNamed('Mul', [floats, column], output);
    this.quantizeFloat(output);
  }

  #addFloat(node: Node): void {
    this.builder.nodes.push(this.#withWeights(node));
    for (const output of node.outputs) this.quantizeFloat(output);
  }

  /** A copy of the node whose weight, and those of its subgraphs, are decoded from codes. */
  #withWeights(node: Node): Node {
    const copy: Node = { ...node, inputs: [...node.inputs], attributes: new Map(node.attributes) };
    const planned = this.layers.get(node);
    if (planned !== undefined) {
      copy.inputs[planned.layer.weightPosition] = this.#floatWeight(planned.layer);
      this.#setFloatBias(copy, planned.layer);
    }
    if (subgraphsOf(node).length === 0) return copy;
    for (const [name, attribute] of node.attributes) {
      if (attribute.kind === 'graph')
        copy.attributes.set(name, { kind: 'graph', value: this.#subgraph(attribute.value) });
      if (attribute.kind === 'graphs')
        copy.attributes.set(name, { kind: 'graphs', value: attribute.value.map((graph) => this.#subgraph(graph)) });
    }
    return copy;
  }

  /** A corrected bias takes the place of the original one, or of none. */
  #setFloatBias(copy: Node, { bias, graph }: Layer): void {
    const original = graph.initializers.get(copy.inputs[2] ?? '');
    if (bias === null || bias === original || copy.opType === 'MatMul') return;
    copy.inputs[2] = this.builder.constant(`${biasName(copy)}_corrected`, bias);
  }

  #subgraph(graph: Graph): Graph {
    const nodes = graph.nodes.map((node) => this.#withWeights(node));
    const used = new Set([...nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ name }) => name)]);
    const captured = new Set(nodes.flatMap(subgraphsOf).flatMap((inner) => inner.nodes.flatMap((node) => node.inputs)));
    const initializers = new Map(
      [...graph.initializers].filter(
        ([name]) => used.has(name) || captured.has(name) || graph.inputs.some((input) => input.name === name),
      ),
    );
    return { ...graph, nodes, initializers };
  }

  #floatWeight(layer: Layer): string {
    return this.weights.forFloatLayer(layer, this.source.weights.get(layer.weight)!);
  }

  #addPassThrough(node: Node): void {
    const op = integerOp(node, this.index)!;
    const data = new Set(dataInputsOf(node, op));
    const inputs = node.inputs.map((name) => (data.has(name) ? this.codes.get(name)! : name));
    if (node.opType === 'Pad' && (inputs[2] ?? '') !== '') inputs[2] = this.zeroPoint(node.outputs[0]!);
    else if (node.opType === 'Pad') {
      while (inputs.length < 2) inputs.push('');
      inputs[2] = this.zeroPoint(node.outputs[0]!);
    }
    const outputs = node.outputs.map((name) => (name === '' ? '' : this.builder.value(`${name}_uint8`)));
    this.builder.nodes.push({ ...node, inputs, outputs });
    node.outputs.forEach((name, i) => {
      if (name !== '') this.readBack(name, outputs[i]!);
    });
  }

  async #addInteger(node: Node): Promise<void> {
    const result = this.source.activations.results.get(node)!;
    const value = this.source.activations.values.get(result);
    const isNatural = value?.natural === true;
    const output = isNatural ? this.builder.value(`${result}_float`) : node.outputs[0]!;
    this.builder.nodes.push({ ...node, inputs: await this.#integerInputs(node), outputs: [output] });
    if (isNatural) this.readBack(result, this.quantize(value, output));
    else this.quantizeFloat(output);
  }

  async #integerInputs(node: Node): Promise<string[]> {
    const planned = this.layers.get(node);
    if (planned === undefined) return node.inputs.map((name) => this.dequantized.get(name) ?? name);
    const { layer } = planned;
    const weight = this.source.weights.get(layer.weight)!;
    const inputs = [this.dequantized.get(this.layerInput(node))!, this.weights.forIntegerLayer(layer, weight)];
    if (layer.bias !== null) inputs.push(await this.bias(node, layer.bias, weight));
    return inputs;
  }

  /** The name of the quantized value that a layer takes in, whose codes there are from now on. */
  protected layerInput(node: Node): string {
    const branch = this.source.activations.branches.get(node);
    if (branch === undefined) return node.inputs[0]!;
    if (!this.codes.has(branch.name)) this.addBranch(branch);
    return branch.name;
  }

  /** Quantizes a value, or what was read back of it, a second time. */
  protected addBranch(value: BranchedValue): void {
    this.readBack(value.name, this.quantize(value, value.source));
  }

  protected async bias(node: Node, bias: Tensor, weight: EncodedWeight): Promise<string> {
    const { scale } = this.scaleOf(this.layerInput(node));
    const { values, scales } = quantizeBias(await readFloats(bias), scale, weight.channelScales);
    const base = biasName(node);
    const inputs = [
      this.builder.constant(`${base}_int32`, tensorFromInt32([values.length], values)),
      this.builder.constant(`${base}_scales`, tensorFromFloats([scales.length], scales)),
      this.builder.shared('zero_point_int32', tensorFromInt32([values.length], new Int32Array(values.length))),
    ];
    return this.builder.add('DequantizeLinear', inputs, `${base}_dequantized`, { axis: intValue(0) });
  }

  /** Makes codes available to integer operators, and dequantized under the value's own name to whoever needs that. */
  protected readBack(name: string, codes: string): void {
    const value = this.source.activations.values.get(name)!;
    this.codes.set(name, codes);
    if (value.source !== undefined) {
      this.dequantized.set(name, this.dequantize(value, codes, this.builder.value(name)));
      return;
    }
    const users = this.index.consumersOf(name);
    const needsFloats =
      this.index.isOutput(name) || users.some((user) => this.source.activations.roles.get(user) !== 'passThrough');
    if (needsFloats || this.#options.keepValues?.includes(name))
      this.dequantized.set(name, this.dequantize(value, codes, name));
  }

  protected quantize(value: QuantizedValue, floats: string): string {
    const codes = this.builder.value(`${value.name}_uint8`);
    this.codes.set(value.name, codes);
    return this.quantizeTo(codes, value.name, floats);
  }

  /**
   * Codes, under the given name, of floats that have the quantization of a value.
   *
   * Codes of fewer bits are uint8 codes that a Clip behind QuantizeLinear keeps at 15, 7 or 3, and below. So the convolutions before and
   * behind it stay fused, and Clips of bytes cost 2 to 4 % of the time of ResNet-20, SqueezeNet and MobileNet. A Clip of
   * floats before QuantizeLinear gives the same codes, but onnxruntime fuses it with the convolution in floats: 2.5 to 5.6
   * times as slow. Min is slower than Clip by one per cent more. Types of 4 bits are neither fused nor safe in onnxruntime.
   */
  protected quantizeTo(codes: string, name: string, floats: string): string {
    const inputs = [floats, ...this.parameters(name)];
    const { maxCode } = this.scaleOf(name);
    if (maxCode === 255) return this.builder.addNamed('QuantizeLinear', inputs, codes);
    const unclipped = this.builder.add('QuantizeLinear', inputs, `${name}_unclipped`);
    const highest = this.builder.shared('max_code', scalarUint8(maxCode));
    return this.builder.addNamed('Clip', [unclipped, '', highest], codes);
  }

  protected dequantize(value: QuantizedValue, codes: string, output: string): string {
    return this.builder.addNamed('DequantizeLinear', [codes, ...this.parameters(value.name)], output);
  }

  protected parameters(name: string): string[] {
    const scale = scalarFloat(this.scaleOf(name).scale);
    return [
      this.builder.shared(`${this.source.activations.values.get(name)!.rangeOf}_scale`, scale),
      this.zeroPoint(name),
    ];
  }

  protected zeroPoint(name: string): string {
    return this.builder.shared('zero_point', scalarUint8(this.scaleOf(name).zeroPoint));
  }

  protected scaleOf(name: string): ActivationScale {
    return this.source.scales.get(this.source.activations.values.get(name)!.rangeOf)!;
  }
}

/** What names made for a bias begin with. */
function biasName(node: Node): string {
  return node.inputs[2] || `${node.name}_bias`;
}

/**
 * START HERE for training with our own operators: a network with its two-dimensional convolutions and batch normalizations as
 * operators of the domain `tritforge`, which want the channels innermost.
 *
 *   Conv, plain or depthwise                   FloatConv
 *   BatchNormalization                         NormalizeBatch in training mode, else NormalizeChannels, with an Add and a Relu
 *                                              behind it that nothing else reads
 *   MaxPool                                    FloatMaxPool
 *   Clip, QuantizeLinear, DequantizeLinear     FloatQuantize, where nothing else reads what is in between
 *   operators on elements, Slice, Pad, Concat  as they are, on images whose channels are innermost
 *   pools of whole images                      means over the two axes
 *   everything else                            behind a Transpose, which is added once for each value
 *
 * The network computes the same as before, up to rounding; values keep their names where their layout is that of the file.
 */
import {
  elementCount,
  floatAttribute,
  floatValue,
  intAttribute,
  intsAttribute,
  intsValue,
  intValue,
  type Model,
  type Node,
  stringAttribute,
} from '../../ir/index.js';
import { knownShapes } from '../gradients.js';
import { NATIVE_DOMAIN, type Shape, ShapedBuilder, sameShape } from '../shaped-builder.js';
import { codesAndBack } from './codes-and-back.js';

/** Compute each element from those at the same place, whatever the layout. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ...[
    'Abs',
    'Clip',
    'DequantizeLinear',
    'Elu',
    'Erf',
    'Exp',
    'Gelu',
    'HardSigmoid',
    'HardSwish',
    'Identity',
    'LeakyRelu',
  ],
  ...['Log', 'Neg', 'QuantizeLinear', 'Relu', 'Round', 'Selu', 'Sigmoid', 'Softplus', 'Softsign', 'Sqrt', 'Tanh'],
  ...['Add', 'Div', 'Max', 'Min', 'Mul', 'Pow', 'Sub', 'Sum', 'Where'],
]);
const TO_LAST = [0, 2, 3, 1] as const;
const TO_FIRST = [0, 3, 1, 2] as const;
/** By axis of the file its axis when channels are innermost. */
const AXIS_LAST = [0, 3, 1, 2] as const;

const toLast = (shape: Shape): Shape => TO_LAST.map((axis) => shape[axis]!);

/**
 * The network for training in a runtime that has the operators; the given one stays as it is.
 * @param symbols sizes of symbolic dimensions of the inputs, the batch among them
 */
export function withNativeLayers(model: Model, symbols: ReadonlyMap<string, number>): Model {
  return new NativeLayers(model, symbols).run();
}

/** No dilations, and pads that are numbers, none as wide as the kernel. */
function hasPlainWindows(node: Node, kernel: Shape): boolean {
  return (
    intsAttribute(node, 'dilations', [1, 1]).every((dilation) => dilation === 1) &&
    ['NOTSET', 'VALID'].includes(stringAttribute(node, 'auto_pad', 'NOTSET')) &&
    intsAttribute(node, 'pads', [0, 0, 0, 0]).every((count, i) => count >= 0 && count < kernel[i % 2]!)
  );
}

/** A normalization that may take in what is behind it. */
interface Waiting {
  readonly node: Node;
  /** Added to it, the channels innermost. */
  readonly added: string | null;
}

class NativeLayers {
  readonly #model: Model;
  readonly #b: ShapedBuilder;
  readonly #shapes: Map<string, Shape>;
  /** How often a value is read; an output of the graph once more. */
  readonly #uses = new Map<string, number>();
  readonly #readers = new Map<string, Node[]>();
  /** Nodes that others took in. */
  readonly #done = new Set<Node>();
  /** By value the same with the channels innermost. */
  readonly #last = new Map<string, string>();
  /** Values that are there in the layout of the file. */
  readonly #plain: Set<string>;
  readonly #waiting = new Map<string, Waiting>();

  constructor(model: Model, symbols: ReadonlyMap<string, number>) {
    this.#model = model;
    this.#shapes = knownShapes(model, symbols);
    this.#b = new ShapedBuilder(model, this.#shapes);
    const { nodes, inputs, outputs, initializers } = model.graph;
    this.#plain = new Set([...inputs.map(({ name }) => name), ...initializers.keys(), '']);
    for (const name of [...nodes.flatMap((node) => node.inputs), ...outputs.map((output) => output.name)])
      this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
    for (const node of nodes)
      for (const name of new Set(node.inputs)) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
  }

  run(): Model {
    const { graph, opsetImports } = this.#model;
    for (const node of graph.nodes) this.#take(node);
    for (const { name } of graph.outputs) this.#asInFile(name);
    const valueInfo = new Map(graph.valueInfo);
    for (const { domain, outputs } of this.#b.nodes)
      for (const name of domain === NATIVE_DOMAIN ? outputs : [])
        valueInfo.set(name, { name, dtype: 'float32', shape: [...this.#b.shapeOf(name)] });
    return {
      ...this.#model,
      opsetImports: new Map(opsetImports).set(NATIVE_DOMAIN, 1),
      graph: { ...graph, nodes: [...this.#b.nodes], initializers: new Map(this.#b.initializers), valueInfo },
    };
  }

  #take(node: Node): void {
    if (this.#done.has(node) || (node.domain === '' && this.#isTaken(node))) return;
    for (const input of node.inputs) this.#asInFile(input);
    for (const output of node.outputs) this.#plain.add(output);
    this.#b.keep(node);
  }

  #isTaken(node: Node): boolean {
    return (
      this.#conv(node) ||
      this.#maxPool(node) ||
      this.#normalization(node) ||
      this.#quantization(node) ||
      this.#inLayout(node)
    );
  }

  // --- values
  /** Adds what makes a value available in the layout of the file. */
  #asInFile(name: string): string {
    if (this.#plain.has(name)) return name;
    this.#settle(name);
    const last = this.#last.get(name);
    // Names from enclosing or inner graphs are not ours.
    if (last === undefined) return name;
    this.#b.transpose(last, TO_FIRST);
    this.#b.nodes.at(-1)!.outputs = [name];
    this.#plain.add(name);
    return name;
  }

  /** The value with its channels innermost. */
  #channelsLast(name: string): string {
    this.#settle(name);
    const known = this.#last.get(name);
    if (known !== undefined) return known;
    const last = this.#b.transpose(this.#asInFile(name), TO_LAST);
    this.#last.set(name, last);
    return last;
  }

  #isLast(name: string): boolean {
    return this.#last.has(name) || this.#waiting.has(name);
  }

  #isImage(name: string): boolean {
    return this.#shapes.get(name)?.length === 4;
  }

  /** Writes a normalization that waited for what is behind it. */
  #settle(name: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    this.#normalize(waiting, name, false);
  }

  // --- layers
  #conv(node: Node): boolean {
    const [x, w, bias = ''] = node.inputs as [string, string, string?];
    if (node.opType !== 'Conv' || !this.#isImage(x) || !this.#isImage(w)) return false;
    const [input, weights] = [this.#b.shapeOf(x), this.#b.shapeOf(w)];
    const pads = intsAttribute(node, 'pads', [0, 0, 0, 0]);
    const group = intAttribute(node, 'group', 1);
    const isPlain =
      (group === 1 || (group === input[1] && group === weights[0])) && hasPlainWindows(node, weights.slice(2));
    if (!isPlain || elementCount(input) === 0 || this.#b.statics.dtypeOf(w) !== 'float32') return false;
    const inputs = [this.#channelsLast(x), this.#asInFile(w), ...(bias === '' ? [] : [this.#asInFile(bias)])];
    const [y] = node.outputs as [string];
    const [result] = this.#b.native('FloatConv', inputs, [toLast(this.#b.shapeOf(y))], {
      strides: intsValue(intsAttribute(node, 'strides', [1, 1])),
      pads: intsValue(pads),
      group: intValue(group),
    });
    this.#last.set(y, result!);
    return true;
  }

  #maxPool(node: Node): boolean {
    const [x = ''] = node.inputs;
    const [y, ...others] = node.outputs as [string, ...string[]];
    if (node.opType !== 'MaxPool' || others.length > 0 || !this.#isImage(x) || !this.#isLast(x)) return false;
    // Codes of quantized values are pooled as they are.
    if (this.#b.statics.dtypeOf(x) !== 'float32') return false;
    const kernel = intsAttribute(node, 'kernel_shape', []);
    if (!hasPlainWindows(node, kernel)) return false;
    const shape = toLast(this.#b.shapeOf(y));
    const [result] = this.#b.native('FloatMaxPool', [this.#channelsLast(x)], [shape], {
      kernel_shape: intsValue(kernel),
      strides: intsValue(intsAttribute(node, 'strides', [1, 1])),
      pads: intsValue(intsAttribute(node, 'pads', [0, 0, 0, 0])),
      output_shape: intsValue(shape.slice(1, 3)),
    });
    this.#last.set(y, result!);
    return true;
  }

  #normalization(node: Node): boolean {
    const [x = ''] = node.inputs;
    const [y = ''] = node.outputs;
    if (node.opType === 'BatchNormalization') {
      if (!this.#isLast(x) || !this.#areUnused(node.outputs.slice(1))) return false;
      this.#waiting.set(y, { node, added: null });
      return true;
    }
    if (node.opType === 'Add' || (node.opType === 'Sum' && node.inputs.length === 2)) return this.#addBehind(node);
    const waiting = this.#waiting.get(x);
    if (node.opType !== 'Relu' || waiting === undefined || this.#uses.get(x) !== 1) return false;
    this.#waiting.delete(x);
    this.#normalize(waiting, y, true);
    return true;
  }

  #addBehind({ inputs, outputs }: Node): boolean {
    const [a, b] = inputs as [string, string];
    const first = [a, b].find((name) => this.#waiting.get(name)?.added === null && this.#uses.get(name) === 1);
    if (first === undefined || a === b || !sameShape(this.#b.shapeOf(a), this.#b.shapeOf(b))) return false;
    const { node } = this.#waiting.get(first)!;
    this.#waiting.delete(first);
    this.#waiting.set(outputs[0]!, { node, added: this.#channelsLast(first === a ? b : a) });
    return true;
  }

  #normalize({ node, added }: Waiting, result: string, rectifies: boolean): void {
    const [x, ...vectors] = node.inputs as [string, ...string[]];
    const shape = toLast(this.#b.shapeOf(x));
    const channels = shape.slice(3);
    const isTraining = intAttribute(node, 'training_mode', 0) === 1;
    const given = vectors.slice(0, isTraining ? 2 : 4).map((name) => this.#asInFile(name));
    const inputs = [this.#channelsLast(x), ...given, ...(added === null ? [] : [added])];
    const shapes = isTraining ? [shape, channels, channels, channels] : [shape, channels];
    const [y] = this.#b.native(isTraining ? 'NormalizeBatch' : 'NormalizeChannels', inputs, shapes, {
      epsilon: floatValue(floatAttribute(node, 'epsilon', 1e-5)),
      rectify: intValue(rectifies ? 1 : 0),
    });
    this.#last.set(result, y!);
  }

  /** Running statistics are moved elsewhere. */
  #areUnused(names: readonly string[]): boolean {
    return names.every((name) => !this.#uses.has(name));
  }

  /** A Clip to codes and back, all of whose readers want the values. */
  #quantization(node: Node): boolean {
    const [x = '', low = '', high = ''] = node.inputs;
    const [clipped = ''] = node.outputs;
    if (node.opType !== 'Clip' || !this.#isLast(x) || !this.#isNumber(low) || !this.#isNumber(high)) return false;
    const found = codesAndBack(clipped, { uses: this.#uses, readers: this.#readers, statics: this.#b.statics });
    if (found === null || !this.#isNumber(found.scale)) return false;
    const inputs = [this.#channelsLast(x), ...[low, high, found.scale].map((name) => this.#asInFile(name))];
    const [y] = this.#b.native('FloatQuantize', inputs, [toLast(this.#b.shapeOf(x))], {
      least: intValue(found.least),
      most: intValue(found.most),
    });
    for (const taken of found.nodes) this.#done.add(taken);
    for (const values of found.values) this.#last.set(values, y!);
    return true;
  }

  /** A single float. */
  #isNumber(name: string): boolean {
    return name !== '' && this.#shapes.get(name)?.length === 0;
  }

  // --- what goes on in either layout
  #inLayout(node: Node): boolean {
    const [y = '', ...others] = node.outputs;
    if (others.length > 0 || !this.#isImage(y) || !node.inputs.some((input) => this.#isLast(input))) return false;
    if (this.#meanOfImages(node)) return true;
    const inputs = this.#elementwiseInputs(node) ?? this.#movedInputs(node);
    if (inputs === null) return false;
    const attributes = Object.fromEntries(node.attributes);
    if (node.opType === 'Concat') attributes.axis = intValue(AXIS_LAST[this.#axisOf(node)]!);
    this.#last.set(y, this.#b.add(node.opType, inputs, toLast(this.#b.shapeOf(y)), attributes));
    return true;
  }

  /** Null where an operand is neither an image of the output's shape nor one number. */
  #elementwiseInputs({ opType, inputs, outputs }: Node): string[] | null {
    if (!ELEMENTWISE.has(opType)) return null;
    const shape = this.#b.shapeOf(outputs[0]!);
    const isNumber = (name: string) => name === '' || elementCount(this.#shapes.get(name) ?? [0]) === 1;
    const isWhole = (name: string) => this.#isImage(name) && sameShape(this.#b.shapeOf(name), shape);
    if (!inputs.every((name) => isWhole(name) || isNumber(name))) return null;
    return inputs.map((name) => (isWhole(name) ? this.#channelsLast(name) : this.#asInFile(name)));
  }

  #movedInputs(node: Node): string[] | null {
    const [x = '', ...others] = node.inputs;
    const ints = (name: string | undefined) => (name ? this.#b.statics.intsOf(name) : null);
    switch (node.opType) {
      case 'Concat':
        return node.inputs.every((name) => this.#isImage(name))
          ? node.inputs.map((name) => this.#channelsLast(name))
          : null;
      case 'Slice': {
        const [starts, ends, , steps] = others;
        const axes = ints(others[2])?.map((axis) => AXIS_LAST[axis < 0 ? axis + 4 : axis]!);
        if (axes === undefined || this.#isLast(starts!)) return null;
        return [this.#channelsLast(x), starts!, ends!, this.#b.ints(axes), ...(steps === undefined ? [] : [steps])];
      }
      case 'Pad': {
        const pads = ints(others[0]);
        if (pads?.length !== 8 || others.length > 2) return null;
        const moved = [...TO_LAST, ...TO_LAST.map((axis) => axis + 4)].map((at) => pads[at]!);
        return [this.#channelsLast(x), this.#b.ints(moved), ...others.slice(1)];
      }
      default:
        return null;
    }
  }

  #axisOf(node: Node): number {
    const axis = intAttribute(node, 'axis', 0);
    return axis < 0 ? axis + 4 : axis;
  }

  #meanOfImages(node: Node): boolean {
    const [x = ''] = node.inputs;
    const [y] = node.outputs as [string];
    const size = this.#b.shapeOf(x).slice(2);
    const isWhole =
      node.opType === 'GlobalAveragePool' ||
      (node.opType === 'AveragePool' &&
        sameShape(intsAttribute(node, 'kernel_shape', []), size) &&
        sameShape(this.#b.shapeOf(y).slice(2), [1, 1]) &&
        intsAttribute(node, 'pads', [0]).every((count) => count === 0));
    if (!isWhole) return false;
    this.#b.reshape(this.#b.mean(this.#channelsLast(x), [1, 2], true), this.#b.shapeOf(y));
    this.#b.nodes.at(-1)!.outputs = [y];
    this.#plain.add(y);
    return true;
  }
}

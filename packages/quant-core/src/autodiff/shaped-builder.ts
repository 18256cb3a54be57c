import {
  type Attribute,
  elementCount,
  intsValue,
  intValue,
  type Model,
  type Node,
  scalarFloat,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../ir/index.js';
import { GraphBuilder } from '../passes/graph-builder.js';
import { StaticValues } from './static-values.js';

/** Of the operators that packages/kernels adds to onnxruntime. */
export const NATIVE_DOMAIN = 'tritforge';

/** Names of values begin with that of an input; along a chain of nodes they would grow with every step. */
const MAX_STEM = 48;

type Attributes = Readonly<Record<string, Attribute>>;
export type Shape = readonly number[];

/**
 * Writes nodes whose values all have known shapes: float32 unless a method says otherwise. Sizes are fixed, the batch
 * included, so that every formula may choose what is fastest for them.
 */
export class ShapedBuilder {
  readonly #model: Model;
  readonly #graph: GraphBuilder;
  readonly #shapes: Map<string, Shape>;
  #statics: StaticValues | null = null;

  /** @param shapes of the values of the model; those of new values are added */
  constructor(model: Model, shapes: Map<string, Shape>) {
    this.#model = model;
    this.#graph = new GraphBuilder(model);
    this.#shapes = shapes;
  }

  /** Nodes that were added, in order. */
  get nodes(): readonly Node[] {
    return this.#graph.nodes;
  }

  /** Those of the model and the new ones. */
  get initializers(): ReadonlyMap<string, Tensor> {
    return this.#graph.initializers;
  }

  /** @throws Error for a value that is not known: a rule asked for what the model lacks */
  shapeOf(value: string): Shape {
    const shape = this.#shapes.get(value);
    if (shape === undefined) throw new Error(`The shape of ${value} is not known`);
    return shape;
  }

  /** Element types and integers of the model's own values, as far as they are known without running it. */
  get statics(): StaticValues {
    this.#statics ??= new StaticValues(this.#model, this.#shapes);
    return this.#statics;
  }

  /** A node with one output of the given shape. */
  add(opType: string, inputs: readonly string[], shape: Shape, attributes: Attributes = {}): string {
    return this.#named(
      this.#graph.add(opType, [...inputs], `${inputs[0]!.slice(0, MAX_STEM)}_${opType}`, attributes),
      shape,
    );
  }

  /** A node with several outputs. */
  addAll(opType: string, inputs: readonly string[], shapes: readonly Shape[], attributes: Attributes = {}): string[] {
    const first = this.add(opType, inputs, shapes[0]!, attributes);
    const outputs = [
      first,
      ...shapes.slice(1).map((shape, i) => this.#named(this.#graph.value(`${first}_${i + 1}`), shape)),
    ];
    this.#graph.nodes.at(-1)!.outputs = outputs;
    return outputs;
  }

  /** A node of the domain `tritforge`, which our own runtime alone has; each output has its shape. */
  native(opType: string, inputs: readonly string[], shapes: readonly Shape[], attributes: Attributes = {}): string[] {
    const outputs = this.addAll(opType, inputs, shapes, attributes);
    this.#graph.nodes.at(-1)!.domain = NATIVE_DOMAIN;
    return outputs;
  }

  /** A node as it is, after those that were added. Its outputs have known shapes or are not asked for them. */
  keep(node: Node): void {
    this.#graph.nodes.push(node);
  }

  /** A float32 scalar, rank 0. */
  scalar(value: number): string {
    return this.#named(this.#graph.shared('scalar', scalarFloat(value)), []);
  }

  /** A float32 tensor of one value, small: it is stored, once. */
  filled(shape: Shape, value: number): string {
    const tensor = tensorFromFloats(shape, new Float32Array(elementCount(shape)).fill(value));
    return this.#named(this.#graph.shared('filled', tensor), shape);
  }

  /** An int64 vector. */
  ints(values: readonly number[]): string {
    return this.#named(this.#graph.shared('ints', tensorFromInt64([values.length], values)), [values.length]);
  }

  /** A constant of any type. */
  constant(base: string, tensor: Tensor): string {
    return this.#named(this.#graph.constant(base, tensor), tensor.shape);
  }

  /** Add, Sub, Mul, Div, Pow, Max, Min, Greater, …: two inputs, broadcast. */
  binary(opType: string, a: string, b: string): string {
    return this.add(opType, [a, b], broadcast(this.shapeOf(a), this.shapeOf(b)));
  }

  /** An operator that keeps the shape of its first input. */
  unary(opType: string, x: string, attributes: Attributes = {}): string {
    return this.add(opType, [x], this.shapeOf(x), attributes);
  }

  /** x · factor. */
  scaled(x: string, factor: number): string {
    return factor === 1 ? x : this.binary('Mul', x, this.scalar(factor));
  }

  /** `condition ? a : b`, broadcast. */
  where(condition: string, a: string, b: string): string {
    const shape = [condition, a, b].map((value) => this.shapeOf(value)).reduce(broadcast);
    return this.add('Where', [condition, a, b], shape);
  }

  reshape(x: string, shape: Shape): string {
    return sameShape(this.shapeOf(x), shape) ? x : this.add('Reshape', [x, this.ints(shape)], shape);
  }

  transpose(x: string, perm: readonly number[]): string {
    if (perm.every((axis, i) => axis === i)) return x;
    const shape = this.shapeOf(x);
    return this.add(
      'Transpose',
      [x],
      perm.map((axis) => shape[axis]!),
      { perm: intsValue(perm) },
    );
  }

  /** Sum over axes, which are at least 0. */
  sum(x: string, axes: readonly number[], keepdims = false): string {
    return this.#reduce('ReduceSum', x, axes, keepdims);
  }

  /** Mean over axes, which are at least 0. */
  mean(x: string, axes: readonly number[], keepdims = false): string {
    return this.scaled(this.sum(x, axes, keepdims), 1 / elementCount(axes.map((axis) => this.shapeOf(x)[axis]!)));
  }

  /** Sums what broadcasting to the shape of x repeated: the gradient of Expand. */
  sumTo(x: string, shape: Shape): string {
    const from = this.shapeOf(x);
    if (sameShape(from, shape)) return x;
    const lead = from.length - shape.length;
    const axes = from.flatMap((size, axis) => (axis < lead || (shape[axis - lead] === 1 && size !== 1) ? [axis] : []));
    return this.reshape(axes.length === 0 ? x : this.sum(x, axes), shape);
  }

  expand(x: string, shape: Shape): string {
    return sameShape(this.shapeOf(x), shape) ? x : this.add('Expand', [x, this.ints(shape)], shape);
  }

  /** Batched, broadcast over leading axes; both have rank 2 at least. */
  matMul(a: string, b: string): string {
    const [left, right] = [this.shapeOf(a), this.shapeOf(b)];
    const lead = broadcast(left.slice(0, -2), right.slice(0, -2));
    return this.add('MatMul', [a, b], [...lead, left.at(-2)!, right.at(-1)!]);
  }

  /** The last two axes exchanged. */
  matrixTranspose(x: string): string {
    const rank = this.shapeOf(x).length;
    const perm = Array.from({ length: rank }, (_, axis) => axis);
    return this.transpose(x, [...perm.slice(0, -2), rank - 1, rank - 2]);
  }

  /** `x[starts:ends:steps]` on the given axes, steps of 1 unless told. Ends are within the axes, or as ONNX has them. */
  slice(
    x: string,
    {
      axes,
      starts,
      ends,
      steps,
    }: { axes: readonly number[]; starts: readonly number[]; ends: readonly number[]; steps?: readonly number[] },
  ): string {
    const shape = [...this.shapeOf(x)];
    for (const [i, axis] of axes.entries())
      shape[axis] = slicedLength(shape[axis]!, starts[i]!, ends[i]!, steps?.[i] ?? 1);
    const inputs = [starts, ends, axes, ...(steps === undefined ? [] : [steps])].map((values) => this.ints(values));
    return this.add('Slice', [x, ...inputs], shape);
  }

  /** Zeros around x: as many in front of and behind each axis; negative numbers take away. */
  pad(x: string, begins: readonly number[], ends: readonly number[]): string {
    if ([...begins, ...ends].every((count) => count === 0)) return x;
    const shape = this.shapeOf(x).map((size, axis) => size + begins[axis]! + ends[axis]!);
    return this.add('Pad', [x, this.ints([...begins, ...ends])], shape);
  }

  concat(values: readonly string[], axis: number): string {
    if (values.length === 1) return values[0]!;
    const shapes = values.map((value) => this.shapeOf(value));
    const total = shapes.reduce((sum, shape) => sum + shape[axis]!, 0);
    return this.add('Concat', values, shapes[0]!.with(axis, total), { axis: intValue(axis) });
  }

  #reduce(opType: string, x: string, axes: readonly number[], keepdims: boolean): string {
    // To the operator an empty list means all axes.
    if (axes.length === 0) return x;
    const shape = this.shapeOf(x);
    const reduced = keepdims
      ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
      : shape.filter((_, axis) => !axes.includes(axis));
    return this.add(opType, [x, this.ints(axes)], reduced, { keepdims: intValue(keepdims ? 1 : 0) });
  }

  #named(value: string, shape: Shape): string {
    this.#shapes.set(value, shape);
    return value;
  }
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The shape of an operator on two tensors, by ONNX's multidirectional broadcasting. @throws Error when they do not fit */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw new Error(`[${a}] and [${b}] cannot be broadcast`);
    return x === 1 ? y : x;
  });
}

/** How many elements a slice of an axis has, starts and ends clamped as ONNX does. */
function slicedLength(size: number, start: number, end: number, step: number): number {
  const clamp = (index: number, low: number, high: number) =>
    Math.min(Math.max(index < 0 ? index + size : index, low), high);
  const [from, to] =
    step > 0 ? [clamp(start, 0, size), clamp(end, 0, size)] : [clamp(start, 0, size - 1), clamp(end, -1, size - 1)];
  return Math.max(0, Math.ceil((to - from) / step));
}

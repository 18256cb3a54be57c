import { type Attribute, intsValue, intValue, type Model, type Tensor, tensorFromInt64 } from '../ir/index.js';
import { seededRandom } from './random.js';
import { randomTensor } from './random-tensor.js';
import { type TinyNode, tinyModel } from './tiny-model.js';

/** What a random network is made of. */
type Step = (b: NetworkBuilder) => void;

/**
 * A small convolutional network with additions, concatenations, splits, shuffles, gates, depthwise convolutions and shortcuts with
 * empty channels, as the seed has it: [2, 3, 4, 4] → [2, 5].
 * @param withShuffles whether channels are shuffled, too
 */
export function randomNetwork(seed: number, { withShuffles }: { readonly withShuffles: boolean }): Model {
  const b = new NetworkBuilder(seed);
  const steps = withShuffles ? [...STEPS, shuffle] : STEPS;
  b.conv('x', 3, b.pick([4, 6, 8]));
  for (let i = 0; i < 8; i++) b.pick(steps)(b);
  return b.finish();
}

interface Value {
  readonly name: string;
  readonly channels: number;
}

class NetworkBuilder {
  readonly #random: () => number;
  readonly #nodes: TinyNode[] = [];
  readonly #constants: Record<string, Tensor> = {};
  readonly values: Value[] = [];
  #count = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!;
  }

  latest(): Value {
    return this.values.at(-1)!;
  }

  constant(shape: readonly number[], shift = 0): string {
    const name = `c${this.#count++}`;
    this.#constants[name] = randomTensor(shape, this.#count, 0.5, shift);
    return name;
  }

  ints(...values: number[]): string {
    const name = `i${this.#count++}`;
    this.#constants[name] = tensorFromInt64([values.length], values);
    return name;
  }

  node(op: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}, outputs = 1): string[] {
    const names = Array.from({ length: outputs }, () => `v${this.#count++}`);
    this.#nodes.push({ op, inputs, outputs: names, attributes });
    return names;
  }

  add(op: string, inputs: readonly string[], channels: number, attributes: Record<string, Attribute> = {}): Value {
    const value = { name: this.node(op, inputs, attributes)[0]!, channels };
    this.values.push(value);
    return value;
  }

  conv(x: string, from: number, to: number): Value {
    const size = this.pick([1, 3]);
    const pads = intsValue(Array<number>(4).fill((size - 1) / 2));
    return this.add('Conv', [x, this.constant([to, from, size, size]), this.constant([to])], to, { pads });
  }

  finish(): Model {
    const { name, channels } = this.latest();
    const isPooled = this.pick([true, false]);
    const [image] = isPooled ? this.node('GlobalAveragePool', [name]) : [name];
    const [flat] = this.node('Flatten', [image!]);
    const features = channels * (isPooled ? 1 : 16);
    const [y] = this.node('Gemm', [flat!, this.constant([features, 5]), this.constant([5])]);
    return tinyModel({
      inputs: [['x', 'float32', [2, 3, 4, 4]]],
      outputs: [[y!, 'float32', [2, 5]]],
      nodes: this.#nodes,
      constants: this.#constants,
    });
  }
}

const conv: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  b.conv(name, channels, b.pick([4, 6, 8]));
};

const depthwise: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  const attributes = { group: intValue(channels), pads: intsValue([1, 1, 1, 1]) };
  b.add('Conv', [name, b.constant([channels, 1, 3, 3]), b.constant([channels])], channels, attributes);
};

const normalization: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  const [gain, shift, mean, variance] = [0, 0, 0, 9].map((at) => b.constant([channels], at)) as [string, ...string[]];
  b.add('BatchNormalization', [name, gain, shift!, mean!, variance!], channels);
  b.add('Relu', [b.latest().name], channels);
};

const addition: Step = (b) => {
  const { name, channels } = b.latest();
  const alike = b.values.filter((value) => value.channels === channels && value.name !== name);
  const other = alike.length > 0 ? b.pick(alike) : b.conv(name, channels, channels);
  b.add('Add', [name, other.name], channels);
};

const perChannel: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  b.add('Mul', [name, b.constant([channels, 1, 1], 1)], channels);
};

const concat: Step = (b) => {
  const [one, other] = [b.pick(b.values), b.pick(b.values)];
  b.add('Concat', [one.name, other.name], one.channels + other.channels, { axis: intValue(1) });
};

const split: Step = (b) => {
  const [one, other] = [b.pick(b.values), b.pick(b.values)];
  const [both] = b.node('Concat', [one.name, other.name], { axis: intValue(1) });
  const parts = b.node('Split', [both!, b.ints(one.channels, other.channels)], { axis: intValue(1) }, 2);
  b.values.push({ name: parts[0]!, channels: one.channels }, { name: parts[1]!, channels: other.channels });
};

/** Squeeze and excitation. */
const gate: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  const [pooled] = b.node('GlobalAveragePool', [name]);
  const [gates] = b.node('Conv', [pooled!, b.constant([channels, channels, 1, 1])]);
  const [open] = b.node('Sigmoid', [gates!]);
  b.add('Mul', [name, open!], channels);
};

/** A sum with a shortcut that has fewer channels. */
const paddedShortcut: Step = (b) => {
  const { name, channels } = b.pick(b.values);
  const [before, after] = [b.pick([0, 1, 2]), b.pick([1, 2])];
  const [padded] = b.node('Pad', [name, b.ints(0, before, 0, 0, 0, after, 0, 0)]);
  const wider = b.conv(name, channels, channels + before + after);
  b.add('Add', [wider.name, padded!], wider.channels);
};

const shuffle: Step = (b) => {
  const { name, channels } = b.pick(b.values.filter((value) => value.channels % 2 === 0));
  const [split] = b.node('Reshape', [name, b.ints(2, 2, channels / 2, 4, 4)]);
  const [swapped] = b.node('Transpose', [split!], { perm: intsValue([0, 2, 1, 3, 4]) });
  b.add('Reshape', [swapped!, b.ints(2, channels, 4, 4)], channels);
};

const STEPS = [conv, conv, depthwise, normalization, addition, perChannel, concat, split, gate, paddedShortcut];

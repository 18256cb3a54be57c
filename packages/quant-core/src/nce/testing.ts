/** A small classifier with everything that a search meets: a shortcut, a depthwise convolution, a concatenation. */
import type { TestContext } from 'node:test';
import { planFeeds } from '../data/index.js';
import { type Attribute, intsValue, intValue, type Model, type Tensor } from '../ir/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { storeTuningSamples, type TuningSamples } from '../train/tuning-samples.js';
import { deriveNetwork } from './derive.js';
import { type SearchSpace, searchableWidths, searchSpace } from './search-space.js';
import { plainOrders, repeated } from './start-weights.js';
import type { SupernetBase } from './supernet/supernet-graph.js';
import type { ChannelCounts } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

const SIDE = 6;
const CLASSES = 4;

/** Widths, in the order of the graph: stem and sum 4, stage 6, ends of the concatenation 4 and 6. */
export function branchedNetwork(): Model {
  const constants: Record<string, Tensor> = {};
  const nodes: TinyNode[] = [];
  const constant = (name: string, shape: readonly number[], scale: number, shift = 0) => {
    constants[name] = randomTensor(shape, Object.keys(constants).length + 1, scale, shift);
    return name;
  };
  const conv = (name: string, x: string, from: number, to: number, size: number, groups = 1) => {
    const inputs = from / groups;
    const weight = constant(`${name}.w`, [to, inputs, size, size], 1 / Math.sqrt(inputs * size * size));
    const attributes: Record<string, Attribute> = { pads: intsValue(Array<number>(4).fill((size - 1) / 2)) };
    if (groups > 1) attributes.group = intValue(groups);
    nodes.push({
      op: 'Conv',
      name,
      inputs: [x, weight, constant(`${name}.b`, [to], 0.2)],
      outputs: [`${name}.c`],
      attributes,
    });
    nodes.push({ op: 'Relu', name: `${name}.relu`, inputs: [`${name}.c`], outputs: [`${name}.y`] });
    return `${name}.y`;
  };
  const stem = conv('stem', 'image', 1, 4, 3);
  const inner = conv('inner', stem, 4, 6, 3);
  const filtered = conv('filter', inner, 6, 6, 3, 6);
  const back = conv('back', filtered, 6, 4, 1);
  nodes.push({ op: 'Add', name: 'sum', inputs: [stem, back], outputs: ['sum.y'] });
  const left = conv('left', 'sum.y', 4, 4, 1);
  const right = conv('right', 'sum.y', 4, 6, 3);
  nodes.push({
    op: 'Concat',
    name: 'join',
    inputs: [left, right],
    outputs: ['join.y'],
    attributes: { axis: intValue(1) },
  });
  nodes.push({ op: 'GlobalAveragePool', name: 'pool', inputs: ['join.y'], outputs: ['pool.y'] });
  nodes.push({
    op: 'Flatten',
    name: 'flat',
    inputs: ['pool.y'],
    outputs: ['flat.y'],
    attributes: { axis: intValue(1) },
  });
  const gemm = [constant('dense.w', [10, CLASSES], 1), constant('dense.b', [CLASSES], 0.1)];
  nodes.push({ op: 'Gemm', name: 'dense', inputs: ['flat.y', ...gemm], outputs: ['scores'] });
  return tinyModel({
    inputs: [['image', 'float32', ['N', 1, SIDE, SIDE]]],
    outputs: [['scores', 'float32', ['N', CLASSES]]],
    nodes,
    constants,
  });
}

export function images(count: number): JobDataset {
  const next = gaussian(seededRandom(11));
  const values = Float32Array.from({ length: count * SIDE * SIDE }, next);
  const dataset = memoryDataset({ image: floats([count, 1, SIDE, SIDE], values) });
  return { dataset, feedPlan: planFeeds(branchedNetwork().graph.inputs, dataset.summary, null), digest: 'images' };
}

/** All of the samples are trained on, as one batch. */
export async function oneBatch(t: TestContext, count: number): Promise<TuningSamples> {
  const data = { data: images(count), labels: null, batch: count, threads: 1, scratchDir: temporaryFolder(t) };
  const stored = await storeTuningSamples(data);
  return { ...stored, fitting: Array.from({ length: count }, (_, i) => i), heldOut: [], part: count };
}

export interface SmallSearch extends SearchSpace {
  readonly original: Model;
  readonly searched: readonly WidthId[];
  /** The network with so many channels. */
  readonly baseOf: (counts: ChannelCounts) => Promise<SupernetBase>;
}

/** The search of {@link branchedNetwork} with int8 weights and, unless told, activations that are not quantized. */
export async function smallSearch(t: TestContext, activationBits: 2 | 8 | null = null): Promise<SmallSearch> {
  const original = branchedNetwork();
  const recipe = { method: 'int8', activations: { bits: activationBits } } as const;
  const space = await searchSpace(original);
  const { layers } = await quantizedNetwork(t, structuredClone(space.template), recipe);
  const { searched } = searchableWidths(space, layers);
  const baseOf = async (counts: ChannelCounts) => {
    const sources = repeated(plainOrders(space.graph), counts);
    return quantizedNetwork(t, await deriveNetwork(space.template, space.graph, sources), recipe);
  };
  return { ...space, original, searched, baseOf };
}

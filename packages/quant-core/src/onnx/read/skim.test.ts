import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Graph, type Model, readTensor, subgraphsOf } from '../../ir/index.js';
import { seededRandom } from '../../testing/random.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { modelLimits } from '../limits.js';
import { readModel } from '../read-model.js';
import { bytesField, encodeModel, outcomeOf, saveModel, varintField } from '../testing.js';
import type { GraphProtoSchema, TensorProtoSchema } from '../wire/onnx_pb.js';
import { skim } from './skim.js';

type GraphInit = MessageInitShape<typeof GraphProtoSchema>;
type TensorInit = MessageInitShape<typeof TensorProtoSchema>;

/** Sizes around the one from which data stays in the file, and around that of the read buffer. */
const SIZES = [0, 1, 4095, 4096, 4097, 9000, 262_143, 262_144, 300_000];

/** A graph of random shape: tensors of random sizes in initializers, attributes and subgraphs. */
function randomGraph(random: () => number, depth: number, expected: Map<string, Uint8Array>): GraphInit {
  const pick = (count: number) => Math.floor(random() * count);
  const tensor = (name: string): TensorInit => {
    // Large tensors are rare, to keep the files small.
    const size = SIZES[pick(random() < 0.1 ? SIZES.length : 6)]!;
    const rawData = Uint8Array.from({ length: size }, () => pick(256));
    expected.set(name, rawData);
    return { name, dims: [BigInt(size)], dataType: 2, rawData };
  };
  const unique = () => `t${expected.size}`;
  return {
    docString: Uint8Array.from({ length: pick(3) * 5000 }, () => 65 + pick(26)),
    initializer: Array.from({ length: pick(4) }, () => tensor(unique())),
    node: Array.from({ length: 1 + pick(3) }, () => ({
      opType: 'Op',
      input: Array.from({ length: pick(3) }, () => 'x'.repeat(pick(300))),
      attribute: [
        { name: 'value', type: 4, t: tensor(unique()) },
        { name: 'axes', type: 7, ints: Array.from({ length: pick(5) }, () => BigInt(pick(1000) - 500)) },
        ...(depth > 0 ? [{ name: 'body', type: 5, g: randomGraph(random, depth - 1, expected) }] : []),
      ],
    })),
  };
}

async function tensorsOf(model: Model): Promise<Uint8Array[]> {
  const found: Promise<Uint8Array>[] = [];
  const visit = (graph: Graph) => {
    for (const tensor of graph.initializers.values()) found.push(readTensor(tensor));
    for (const node of graph.nodes) {
      for (const attribute of node.attributes.values()) {
        if (attribute.kind === 'tensor') found.push(readTensor(attribute.value));
      }
      for (const body of subgraphsOf(node)) visit(body);
    }
  };
  visit(model.graph);
  return Promise.all(found);
}

test('whatever the nesting and the sizes, every tensor is found where it is', async (t) => {
  const folder = temporaryFolder(t);
  for (let seed = 1; seed <= 25; seed++) {
    const expected = new Map<string, Uint8Array>();
    const graph = randomGraph(seededRandom(seed), seed % 5, expected);
    const model = await readModel(saveModel(folder, encodeModel({ graph })));
    const byContent = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b);
    assert.deepEqual((await tensorsOf(model)).sort(byContent), [...expected.values()].sort(byContent), `seed ${seed}`);
  }
});

test('the skeleton does not grow with the tensors', async (t) => {
  const initializer = Array.from({ length: 8 }, (_, i) => ({
    name: `w${i}`,
    dims: [100_000n],
    dataType: 2,
    rawData: new Uint8Array(100_000),
  }));
  const path = saveModel(temporaryFolder(t), encodeModel({ graph: { initializer } }));
  const { skeleton, windows } = await skim(path, modelLimits());
  assert.ok(skeleton.byteLength < 500, `${skeleton.byteLength} bytes`);
  assert.deepEqual(
    windows.map(({ field, byteLength }) => [field, byteLength]),
    initializer.map(() => ['raw_data', 100_000]),
  );
});

/** The content of a graph whose only node holds the graph inside, `levels` times. */
function nested(levels: number): number[] {
  let graph: number[] = [];
  for (let i = 0; i < levels; i++) graph = bytesField(1, bytesField(5, bytesField(6, graph)));
  return graph;
}

const nodes = (count: number) => Array.from({ length: count }, () => bytesField(1, [])).flat();
const overLimits: readonly (readonly [string, string, number[]])[] = [
  ['messages nested 70 deep', 'MODEL_TOO_DEEP', nested(23)],
  ['types nested 70 deep', 'MODEL_TOO_DEEP', bytesField(11, bytesField(2, nestedType(40)))],
  ['more nodes than allowed', 'MODEL_TOO_MANY_NODES', nodes(101)],
  ['more tensors than allowed', 'MODEL_TOO_COMPLEX', Array.from({ length: 101 }, () => bytesField(5, [])).flat()],
  ['more messages than allowed', 'MODEL_TOO_COMPLEX', Array.from({ length: 1001 }, () => bytesField(13, [])).flat()],
  ['more fields than allowed', 'MODEL_TOO_COMPLEX', bytesField(5, Array(10_001).fill(varintField(1, 1)).flat())],
  ['more packed values than allowed', 'MODEL_TOO_COMPLEX', bytesField(5, packedDims(10_001))],
  ['names longer than allowed', 'MODEL_TOO_COMPLEX', bytesField(2, new Uint8Array(8193).fill(65))],
  ['more text than allowed', 'MODEL_TOO_COMPLEX', bytesField(10, new Uint8Array(100_001))],
];

function nestedType(levels: number): number[] {
  let type: number[] = [];
  for (let i = 0; i < levels; i++) type = bytesField(4, bytesField(1, type));
  return type;
}

function packedDims(count: number): number[] {
  return bytesField(1, new Uint8Array(count));
}

const limits = { maxNodes: 100, maxTensors: 100, maxMessages: 1000, maxFields: 10_000, maxSkeletonBytes: 100_000 };
for (const [what, code, content] of overLimits) {
  test(`${what} are refused: ${code}`, async (t) => {
    const path = saveModel(temporaryFolder(t), Uint8Array.from([...varintField(1, 8), ...bytesField(7, content)]));
    assert.equal(await outcomeOf(readModel(path, { limits })), code);
  });
}

test('subgraphs up to the limit of nesting are read', async (t) => {
  const path = saveModel(temporaryFolder(t), Uint8Array.from([...varintField(1, 8), ...bytesField(7, nested(20))]));
  assert.equal(await outcomeOf(readModel(path)), 'ok');
});

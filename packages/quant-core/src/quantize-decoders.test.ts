import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { ArtifactProfile, Recipe, Report } from '@tritforge/contracts';
import { writeNpz } from './data/index.js';
import { elementCount, type Model } from './ir/index.js';
import { readModel, validateModel, writeModel } from './onnx/index.js';
import { quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import type { Feeds, HostTensor } from './runtime/runtime.js';
import { checkReport } from './testing/check-report.js';
import { int64s } from './testing/memory-dataset.js';
import { seededRandom } from './testing/random.js';
import { sharedData, skipWithout } from './testing/shared-data.js';
import { branchedEncoder, contribDecoder, DECODER, smallDecoder } from './testing/small-decoder.js';
import { temporaryFolder } from './testing/temporary-folder.js';

const STORIES = 'models/stories260K.onnx';
const TOKENS_OF_STORIES = 'sets/tinystories_val_tokens200.json.gz';
const runtime = createOnnxRuntime();
const PROFILES: readonly ArtifactProfile[] = ['portable', 'compat', 'accelerated', 'ort-nbits'];
const [SAMPLES, LENGTH] = [24, 12];

interface Quantized {
  readonly report: Report;
  readonly original: string;
  /** Path by profile. */
  readonly artifacts: ReadonlyMap<string, string>;
}

/** Quantizes a decoder in all profiles with tokens as the only data. */
async function quantizeDecoder(t: TestContext, model: Model, recipe: Recipe = {}): Promise<Quantized> {
  const folder = temporaryFolder(t);
  const [modelPath, dataPath] = [join(folder, 'decoder.onnx'), join(folder, 'tokens.npz')];
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  await mkdir(outputDir);
  await mkdir(scratchDir);
  await writeModel(model, modelPath);
  const random = seededRandom(3);
  const tokens = () => Array.from({ length: SAMPLES * LENGTH }, () => Math.floor(random() * DECODER.vocabulary));
  const data = [['input_ids', int64s([SAMPLES, LENGTH], tokens())] as const];
  await writeNpz(dataPath, new Map([...data, ['labels', int64s([SAMPLES, LENGTH], tokens())]]));
  const report = await quantize(
    {
      modelPath,
      recipe: { artifacts: [...PROFILES], weights: { groupSize: 32, solver: 'exact' }, correction: [], ...recipe },
      outputDir,
      scratchDir,
      fileStem: 'decoder',
      calibration: { path: dataPath },
      evaluation: { path: dataPath },
    },
    { runtime },
  );
  const artifacts = new Map(report.artifacts.map(({ profile, fileName }) => [profile, join(outputDir, fileName)]));
  return { report, original: modelPath, artifacts };
}

/** Constants with as many elements as the embedding, by type, and the bytes of all constants that are not small. */
async function storedTables(path: string): Promise<string[]> {
  const artifact = await readModel(path);
  await validateModel(artifact);
  const count = DECODER.vocabulary * DECODER.width;
  const holds = (shape: readonly number[], codesPerByte: number) => elementCount(shape) === count / codesPerByte;
  return [...artifact.graph.initializers.values()].flatMap(({ dtype, shape }) => {
    if (dtype === 'float32' && holds(shape, 1)) return ['float32'];
    if (dtype === 'int8' && holds(shape, 1)) return ['int8'];
    if (dtype === 'uint8' && holds(shape, 4)) return ['2 bits'];
    return dtype === 'uint8' && holds(shape, 2) ? ['4 bits'] : [];
  });
}

async function run(path: string, feeds: Feeds): Promise<ReadonlyMap<string, HostTensor>> {
  const session = await runtime.load(path, { threads: 1, optimization: 'all' });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Feeds of one sample behind a cache. */
function step(tokens: readonly number[], past: readonly [HostTensor, HostTensor] | null): Feeds {
  const seen = past?.[0].shape[2] ?? 0;
  const { kvHeads, headWidth } = DECODER;
  const empty: HostTensor = { dtype: 'float32', shape: [1, kvHeads, 0, headWidth], data: new Float32Array(0) };
  return new Map([
    ['input_ids', int64s([1, tokens.length], tokens)],
    ['attention_mask', int64s([1, seen + tokens.length], new Array<number>(seen + tokens.length).fill(1))],
    [
      'position_ids',
      int64s(
        [1, tokens.length],
        tokens.map((_, i) => seen + i),
      ),
    ],
    ['past_key_values.0.key', past?.[0] ?? empty],
    ['past_key_values.0.value', past?.[1] ?? empty],
  ]);
}

function sqnrDb(expected: HostTensor, actual: HostTensor): number {
  assert.deepEqual(actual.shape, expected.shape);
  const [want, have] = [expected.data as Float32Array, actual.data as Float32Array];
  let [signal, noise] = [0, 0];
  want.forEach((value, i) => {
    signal += value ** 2;
    noise += (value - have[i]!) ** 2;
  });
  return 10 * Math.log10(signal / noise);
}

const TOKENS = [5, 17, 80, 2, 33, 64];

for (const head of ['transposed', 'gemm', 'transposedGemm'] as const) {
  test(`a decoder that ties its head to the embedding stores both once (${head})`, async (t) => {
    const profiles = head === 'transposedGemm' ? PROFILES.slice(0, 1) : PROFILES;
    const { report, original, artifacts } = await quantizeDecoder(t, smallDecoder(head), { artifacts: [...profiles] });
    const tied = report.layers.filter(({ node, shape }) => node === 'x' || shape?.includes(DECODER.vocabulary));
    assert.deepEqual(
      tied.map(({ op, applied: { bits, activationBits } }) => [op, bits, activationBits]),
      [
        ['Gather', 8, null],
        [head === 'transposed' ? 'MatMul' : 'Gemm', 8, 8],
      ],
    );
    assert.equal(tied[0]!.bitsPerWeight, 8 + 32 / DECODER.width);
    for (const [profile, path] of artifacts) assert.deepEqual(await storedTables(path), ['int8'], profile);
    await checkReport(report, await readModel(original), await readModel(artifacts.get('portable')!));
    assert.equal(report.accuracy!.metric, 'perplexity');
    assert.match(report.kept.map(({ reason }) => reason).join(), /multiplies q/);
  });
}

test('an artifact of a decoder goes on from the cache that it gave, and is near the original in onnxruntime', async (t) => {
  const recipe: Recipe = { method: 'int8', activations: { bits: null } };
  const { original, artifacts, report } = await quantizeDecoder(t, smallDecoder('own'), recipe);
  assert.deepEqual(
    report.layers.map(({ op, weight }) => `${op} ${weight}`),
    [
      'Gather embedding',
      'MatMul wq',
      'MatMul wk',
      'MatMul wv',
      'MatMul wo',
      'MatMul left',
      'Gemm up',
      'Gemm down',
      'MatMul own',
    ],
  );
  const expected = await run(original, step(TOKENS, null));
  for (const [profile, path] of artifacts) {
    const whole = await run(path, step(TOKENS, null));
    for (const [name, value] of expected) assert.ok(sqnrDb(value, whole.get(name)!) > 30, `${profile}: ${name}`);
    const first = await run(path, step(TOKENS.slice(0, 4), null));
    const past = [first.get('present.0.key')!, first.get('present.0.value')!] as const;
    const second = await run(path, step(TOKENS.slice(4), past));
    for (const name of ['present.0.key', 'present.0.value'])
      assert.ok(sqnrDb(whole.get(name)!, second.get(name)!) > 80, `${profile}: ${name}`);
  }
});

test('rules give an embedding fewer bits, and what shares it follows', async (t) => {
  const rule = (set: NonNullable<Recipe['layers']>[number]['set']) => [{ match: { op: 'Gather' }, set }];
  const four = await quantizeDecoder(t, smallDecoder('transposed'), {
    activations: { bits: null },
    layers: rule({ bits: 4, groupSize: 32 }),
  });
  const logits = four.report.layers.at(-1)!;
  assert.deepEqual([logits.applied.bits, logits.applied.groupSize], [4, 32]);
  assert.match(logits.reason!, /shared with x/);
  for (const [profile, path] of four.artifacts) assert.deepEqual(await storedTables(path), ['4 bits'], profile);
  const inBlocks = await readModel(four.artifacts.get('ort-nbits')!);
  const operators = inBlocks.graph.nodes.map(({ opType }) => opType);
  assert.ok(operators.includes('GatherBlockQuantized') && operators.includes('MatMulNBits'));

  const excluded = await quantizeDecoder(t, smallDecoder('transposed'), {
    layers: rule({ exclude: true }),
    artifacts: ['portable'],
  });
  const [embedding] = excluded.report.layers;
  assert.equal(embedding!.applied.bits, null);
  assert.match(excluded.report.kept.find(({ node }) => node === 'x')!.reason, /excluded by the recipe/);
  assert.deepEqual((await storedTables(excluded.artifacts.get('portable')!)).sort(), ['float32', 'int8']);
});

test('uniform embeddings are stored once too, and what shares them follows', async (t) => {
  const { report, artifacts } = await quantizeDecoder(t, smallDecoder('transposed'), {
    activations: { bits: null },
    layers: [{ match: { op: 'Gather' }, set: { bits: 2, groupSize: null } }],
  });
  const { applied, reason } = report.layers.at(-1)!;
  assert.deepEqual([applied.bits, applied.groupSize], [2, null]);
  assert.match(reason!, /shared with x/);
  for (const [profile, path] of artifacts) assert.deepEqual(await storedTables(path), ['2 bits'], profile);
});

test('ternary embeddings are stored once too, whatever reads them', async (t) => {
  const { report, artifacts } = await quantizeDecoder(t, smallDecoder('gemm'), {
    layers: [{ match: { op: 'Gather' }, set: { bits: 2, groupSize: 64 } }],
  });
  assert.deepEqual(
    report.layers.filter(({ weight }) => weight === 'embedding').map(({ op, applied }) => [op, applied.bits]),
    [
      ['Gather', 2],
      ['Gemm', 2],
    ],
  );
  const bytes = (DECODER.vocabulary * DECODER.width) / 4;
  for (const [profile, path] of artifacts) {
    const { graph } = await readModel(path);
    const packed = [...graph.initializers.values()].filter(
      ({ dtype, shape }) => dtype === 'uint8' && elementCount(shape) === bytes,
    );
    assert.equal(packed.length, 1, profile);
  }
});

test('layers are solved in order behind a quantized embedding, and tied heads keep its codes', async (t) => {
  const { report, artifacts } = await quantizeDecoder(t, smallDecoder('transposed'), {
    weights: { groupSize: 32, solver: 'feedback' },
    correction: ['mean', 'variance'],
    artifacts: ['portable'],
  });
  const [embedding, ...others] = report.layers;
  assert.equal(embedding!.weightError, others.at(-1)!.weightError);
  assert.ok(others.every(({ outputSqnrDb }) => outputSqnrDb !== null));
  assert.deepEqual(await storedTables(artifacts.get('portable')!), ['int8']);
});

test('operators of com.microsoft pass through untouched', async (t) => {
  const { report, original, artifacts } = await quantizeDecoder(t, contribDecoder(), { activations: { bits: null } });
  const contribOf = async (path: string) =>
    (await readModel(path)).graph.nodes
      .filter(({ domain, opType }) => domain === 'com.microsoft' && !/NBits|BlockQuantized/.test(opType))
      .map(({ opType, inputs, outputs, attributes }) => ({ opType, inputs, outputs, attributes }));
  const expected = await contribOf(original);
  assert.equal(expected.length, 4);
  for (const [profile, path] of artifacts) assert.deepEqual(await contribOf(path), expected, profile);
  assert.deepEqual(
    report.layers.map(({ weight }) => weight),
    ['embedding', 'wq', 'wk', 'wv', 'wo', 'wq2', 'up', 'down', 'embedding'],
  );
});

test('a search leaves embeddings and what shares them alone, and finds precisions for the rest', async (t) => {
  const { report } = await quantizeDecoder(t, smallDecoder('transposed'), {
    method: 'auto',
    weights: { solver: 'exact' },
    search: { maxBitsPerWeight: 6, evaluations: 3 },
    artifacts: ['portable'],
  });
  assert.ok(report.frontier!.length > 0);
  const tied = report.layers.filter(({ weight }) => weight === 'embedding');
  assert.deepEqual(
    tied.map(({ applied, damages }) => [applied.bits, damages]),
    [
      [8, undefined],
      [8, undefined],
    ],
  );
  const others = report.layers.filter(({ weight }) => weight !== 'embedding');
  assert.ok(others.every(({ damages }) => damages !== undefined));
  assert.ok(others.some(({ applied }) => applied.bits! < 8));
});

test('embeddings inside branches are quantized and computed when the file is loaded', async (t) => {
  const { report, artifacts, original } = await quantizeDecoder(t, branchedEncoder(), {
    artifacts: ['portable', 'compat'],
  });
  assert.deepEqual(
    report.layers.map(({ op, applied }) => [op, applied.bits, applied.activationBits]),
    [
      ['MatMul', 8, 8],
      ['Gather', 8, null],
      ['Gather', 8, null],
    ],
  );
  for (const [profile, path] of artifacts) assert.deepEqual(await storedTables(path), ['int8', 'int8'], profile);
  const feeds = new Map([['input_ids', int64s([1, 3], [1, 2, 3])]]);
  const [expected, actual] = [await run(original, feeds), await run(artifacts.get('portable')!, feeds)];
  assert.ok(sqnrDb(expected.get('logits')!, actual.get('logits')!) > 30);
});

test('without data a decoder runs on made-up tokens and an empty cache', async (t) => {
  const folder = temporaryFolder(t);
  const modelPath = join(folder, 'decoder.onnx');
  await writeModel(smallDecoder('own'), modelPath);
  const request = { modelPath, outputDir: folder, scratchDir: folder, fileStem: 'decoder' };
  const report = await quantize({ ...request, recipe: { activations: { bits: null } } }, { runtime });
  assert.equal(report.artifacts[0]!.verification.passed, true);
  assert.equal(report.layers[0]!.op, 'Gather');
});

test('stories260K keeps its perplexity with int8 embeddings and takes a fifth of its bytes', {
  skip: skipWithout(STORIES, TOKENS_OF_STORIES),
}, async (t) => {
  const folder = temporaryFolder(t);
  const dataPath = join(folder, 'stories.npz');
  const all = JSON.parse(gunzipSync(await readFile(sharedData(TOKENS_OF_STORIES))).toString()) as number[][];
  const stories = all
    .filter(({ length }) => length > 100)
    .slice(0, 12)
    .map((story) => story.slice(0, 101));
  const shape = [stories.length, 100];
  const rows = (from: number) =>
    int64s(
      shape,
      stories.flatMap((story) => story.slice(from, from + 100)),
    );
  await writeNpz(
    dataPath,
    new Map([
      ['tokens', rows(0)],
      ['labels', rows(1)],
    ]),
  );
  const perplexity = async (name: string, layers: NonNullable<Recipe['layers']>) => {
    const outputDir = join(folder, name);
    await mkdir(outputDir);
    const request = { modelPath: sharedData(STORIES), outputDir, scratchDir: folder, fileStem: name };
    const recipe: Recipe = { method: 'int8', activations: { bits: null }, layers };
    const { accuracy, artifacts } = await quantize({ ...request, recipe, evaluation: { path: dataPath } }, { runtime });
    return { value: accuracy!.quantized, artifact: artifacts[0]! };
  };
  const kept = await perplexity('kept', [{ match: { op: 'Gather' }, set: { exclude: true } }]);
  const int8 = await perplexity('int8', []);
  assert.ok(Math.abs(int8.value / kept.value - 1) < 0.002, `${kept.value} and ${int8.value}`);
  // 512 rows of 64: three bytes less for each element, and a scale more for each row.
  assert.ok(kept.artifact.sizeBytes - int8.artifact.sizeBytes > 512 * (64 * 3 - 4) - 1024);
  assert.ok(int8.artifact.bitsPerWeight.wholeModel < 6, `${int8.artifact.bitsPerWeight.wholeModel} bits`);
});

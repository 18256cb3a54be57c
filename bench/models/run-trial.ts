/** One trial of `models`, a process of its own: takes a {@link TrialRequest} as JSON, prints a {@link TrialResult}. */
import { openOrtLibrary } from '@tritforge/kernels';
import { createOnnxRuntime, onnxruntimeLibrary } from '@tritforge/quant-core';
import type { Contestant } from './contestants.js';
import { noise } from './noise.js';

export interface TrialRequest {
  readonly contestants: readonly Contestant[];
  readonly input: string;
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly budgetMs: number;
}

/** Milliseconds of one run. */
export interface RunTimes {
  /** By the clock on the wall, until the outputs are there. */
  readonly medianMs: number;
  readonly minimumMs: number;
  /** Of all threads of the process; does not count what other programs take of the core. */
  readonly cpuMedianMs: number;
}

export interface TrialResult {
  readonly rounds: number;
  readonly times: Readonly<Record<string, RunTimes>>;
}

interface Loaded {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  readonly wallMs: number[];
  readonly cpuMs: number[];
}

const SEED = 2;
const WARMUP_ROUNDS = 3;
const MIN_ROUNDS = 5;
const MAX_ROUNDS = 2000;

const request = JSON.parse(process.argv[2]!) as TrialRequest;
const { input, dtype, shape } = request;
const count = shape.reduce((product, size) => product * size, 1);
const feeds = new Map([[input, { dtype, shape, data: noise(dtype, count, SEED) }]]);
const loaded: Loaded[] = [];
for (const contestant of request.contestants) {
  loaded.push({ name: contestant.name, run: await load(contestant), wallMs: [], cpuMs: [] });
}
const result: TrialResult = {
  rounds: await measure(loaded, request.budgetMs),
  times: Object.fromEntries(loaded.map(({ name, wallMs, cpuMs }) => [name, summary(wallMs, cpuMs)])),
};
process.stdout.write(JSON.stringify(result));

async function load({ modelPath, engine }: Contestant): Promise<Loaded['run']> {
  if (engine === 'ort') {
    const session = await createOnnxRuntime().load(modelPath, { threads: 1, optimization: 'all' });
    return () => session.run(feeds);
  }
  const session = await openOrtLibrary(onnxruntimeLibrary()!).load(modelPath, { intraOpThreads: 1 });
  return () => session.run(feeds, { blocking: true });
}

/** In every round each takes its turn; the order rotates and turns around, so that each follows every other. */
async function measure(contestants: readonly Loaded[], budgetMs: number): Promise<number> {
  for (let round = 0; round < WARMUP_ROUNDS; round++) for (const { run } of contestants) await run();
  const end = performance.now() + budgetMs;
  let rounds = 0;
  while (rounds < MIN_ROUNDS || (rounds < MAX_ROUNDS && performance.now() < end)) {
    for (const contestant of orderOf(contestants, rounds)) await time(contestant);
    rounds++;
  }
  return rounds;
}

async function time({ run, wallMs, cpuMs }: Loaded): Promise<void> {
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  await run();
  wallMs.push(performance.now() - start);
  const { user, system } = process.cpuUsage(cpuStart);
  cpuMs.push((user + system) / 1e3);
}

function orderOf(contestants: readonly Loaded[], round: number): readonly Loaded[] {
  const rotated = contestants.map((_, i) => contestants[(i + round) % contestants.length]!);
  return Math.floor(round / contestants.length) % 2 === 0 ? rotated : rotated.reverse();
}

function summary(wallMs: readonly number[], cpuMs: readonly number[]): RunTimes {
  return { medianMs: median(wallMs), minimumMs: Math.min(...wallMs), cpuMedianMs: median(cpuMs) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

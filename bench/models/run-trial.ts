/** One trial of `models`, a process of its own: takes a {@link TrialRequest} as JSON, prints a {@link TrialResult}. */
import { openOrtLibrary } from '@tritforge/kernels';
import { createOnnxRuntime } from '@tritforge/quant-core';
import { compareLatency } from '@tritforge/quant-core/testing';
import { onnxRuntimeLibrary } from '../kernels/onnx-runtime-library.js';
import type { Contestant } from './contestants.js';
import { noise } from './noise.js';

export interface TrialRequest {
  readonly contestants: readonly Contestant[];
  readonly input: string;
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly budgetMs: number;
}

/** Milliseconds of one run, by contestant. */
export interface TrialResult {
  readonly runs: number;
  readonly medianMs: Readonly<Record<string, number>>;
  readonly lowerQuartileMs: Readonly<Record<string, number>>;
}

type Session = Parameters<typeof compareLatency>[0][number]['session'];

const SEED = 2;

const { contestants, input, dtype, shape, budgetMs } = JSON.parse(process.argv[2]!) as TrialRequest;
const count = shape.reduce((product, size) => product * size, 1);
const feeds = new Map([[input, { dtype, shape, data: noise(dtype, count, SEED) }]]);
const loaded = [];
for (const contestant of contestants) {
  loaded.push({ name: contestant.name, feeds, session: await load(contestant) });
}
const { runs, results } = await compareLatency(loaded, { budgetMs });
const result: TrialResult = {
  runs,
  medianMs: Object.fromEntries([...results].map(([name, { medianMs }]) => [name, medianMs])),
  lowerQuartileMs: Object.fromEntries([...results].map(([name, { lowerQuartileMs }]) => [name, lowerQuartileMs])),
};
process.stdout.write(JSON.stringify(result));

async function load({ modelPath, engine }: Contestant): Promise<Session> {
  if (engine === 'ort') return createOnnxRuntime().load(modelPath, { threads: 1, optimization: 'all' });
  const session = await openOrtLibrary(onnxRuntimeLibrary()).load(modelPath, { intraOpThreads: 1 });
  const { inputs, outputs } = session;
  return { inputs, outputs, run: () => session.run(feeds), release: () => session.release() };
}

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onnxruntimeLibrary } from '@tritforge/quant-core';
import type { Shape } from './families.js';
import type { OrtPeer } from './peer-models.js';

/** Microseconds of one run. */
export interface Timing {
  readonly minimumUs: number;
  readonly medianUs: number;
  readonly samples: number;
}

/** One candidate on one shape in one process. */
export interface Measurement {
  readonly shape: string;
  readonly candidate: string;
  /** What ran, such as the name of a kernel. */
  readonly detail: string;
  readonly warm: Timing;
  readonly cold: Timing | null;
}

/** A candidate that did not run. */
export interface Absence {
  readonly shape: string;
  readonly candidate: string;
  readonly absent: string;
}

/** What one process measured. */
export interface Trial {
  readonly ort: string;
  /** '' where oneDNN was not compiled in. */
  readonly oneDnn: string;
  readonly isa: string;
  readonly measurements: readonly Measurement[];
  readonly absences: readonly Absence[];
}

export interface TrialOptions {
  readonly isa: string;
  readonly groupSize: number;
  /** Time for each candidate on each shape. */
  readonly budgetMs: number;
  readonly core: number;
  /** What names of peers must contain. */
  readonly peers: string;
  /** Whether Tritforge's kernels run in every layout, and not only in the one that dispatch chooses. */
  readonly everyLayout: boolean;
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Of kernel instruction set to that of oneDNN, so that a forced lower set holds for it too. */
const DNNL_ISA: Readonly<Record<string, string>> = { avx2: 'AVX2', avxvnni: 'AVX2_VNNI' };

/** One shape of a plan under an id that is unique in it. */
export interface PlannedShape {
  readonly key: string;
  readonly shape: Shape;
  readonly peers: readonly OrtPeer[];
}

/** Writes what the native program reads; its format is drawn in native/shape.h. @returns the path */
export async function writePlan(shapes: readonly PlannedShape[], folder: string): Promise<string> {
  const path = join(folder, 'plan.tsv');
  const lines = shapes.flatMap(({ key, shape, peers }) => [
    shapeLine(key, shape),
    ...peers.map((peer) => ['ort', peer.name, peer.path, peer.input, peer.output, peer.layout]),
  ]);
  await writeFile(path, lines.map((fields) => `${fields.join('\t')}\n`).join(''));
  return path;
}

/** Runs the native program once, in one thread, pinned to a core. */
export async function runTrial(program: string, plan: string, options: TrialOptions): Promise<Trial> {
  const { isa, groupSize, budgetMs, core, peers, everyLayout } = options;
  const limit = DNNL_ISA[isa];
  const env = {
    ...process.env,
    ORT_DISABLE_TELEMETRY: '1',
    OMP_NUM_THREADS: '1',
    ...(limit === undefined ? {} : { ONEDNN_MAX_CPU_ISA: limit, DNNL_MAX_CPU_ISA: limit }),
  };
  const numbers = [groupSize, budgetMs, core].map(String);
  const args = [plan, onnxruntimeLibrary()!, isa, ...numbers, peers, String(Number(everyLayout))];
  const { stdout } = await promisify(execFile)(program, args, { env, maxBuffer: MAX_OUTPUT_BYTES });
  const [head, ...lines] = stdout.trim().split('\n');
  const results = lines.map((line) => JSON.parse(line) as Measurement | Absence);
  const about = JSON.parse(head!) as Pick<Trial, 'ort' | 'oneDnn' | 'isa'>;
  return {
    ...about,
    measurements: results.filter((result) => 'warm' in result),
    absences: results.filter((result) => 'absent' in result),
  };
}

function shapeLine(key: string, shape: Shape): (string | number)[] {
  const flags = [Number(shape.ternary), Number(shape.cold)];
  if (shape.kind === 'gemm') return ['gemm', key, shape.m, shape.k, shape.n, ...flags];
  const { size, inputChannels, outputChannels, kernel, stride, pad, groups } = shape;
  return ['conv', key, size, size, inputChannels, outputChannels, kernel, stride, pad, groups, ...flags];
}

/**
 * An artifact must compute what the engine says it computes. The reference is the quantized network with weights that the engine
 * decoded itself, written as plain floats: it shares no step of the packed encoding.
 *
 *  1. As written, without any rewriting by onnxruntime, the artifact equals the reference: the encoding is exact. An accelerated
 *     artifact rounds as integer kernels do even then. It equals the same integer operators with int8 weights that the engine decoded.
 *     MatMulNBits rounds its inputs. The same nodes and constants, told to compute in floats, equal the reference.
 *  2. As users run it, fused to integer kernels, it may differ by roundings: integer kernels requantize int32 sums where the
 *     reference rounds floats, and now and then a value lands on the next code. A deep network whose ternary weights have
 *     drained its activations to a few codes multiplies such differences by two or three in every layer, and so it does with
 *     differences in its inputs. The artifact may therefore be as noisy as the reference is towards slightly other inputs.
 */
import { type ArtifactReport, TritforgeError } from '@tritforge/contracts';
import { EXACT_SQNR_DB } from '../evaluate/index.js';
import { hostFloats, isFloating } from '../runtime/host-floats.js';
import type { Feeds, HostTensor, Runtime } from '../runtime/runtime.js';

/** Largest difference to the reference, as a share of the largest output, of the graph run as written. */
export const MAX_ENCODING_ERROR = 1e-4;
/**
 * Ratio of outputs to their difference from the reference, of the graph run as users run it, that passes without question.
 * Real networks have 20 to 140 dB; a wrong scale or a saturated sum leaves less than 5 dB.
 */
export const MIN_SQNR_DB = 10;
/** Below that, an artifact passes if it is at most this much noisier than the reference on the disturbed inputs. */
const SQNR_MARGIN_DB = 6;
/** The disturbed inputs: every DISTURBED_STRIDE-th element moves by DISTURBANCE of the largest. */
const DISTURBED_STRIDE = 1000;
const DISTURBANCE = 0.01;

/**
 * Packed constants have kernels of their own, which add up in another order; a sum beside the boundary of two codes then
 * takes the other one. Without packing, constants and computed weights meet the same kernels.
 */
const SAME_KERNELS = { 'session.disable_prepacking': '1' };

type Outputs = ReadonlyMap<string, HostTensor>;

/** The reference model and what it computed. */
export interface Reference {
  readonly path: string;
  readonly feeds: readonly Feeds[];
  readonly outputs: readonly Outputs[];
}

/** Runs the reference model as written. */
export async function runReference(runtime: Runtime, path: string, feeds: readonly Feeds[]): Promise<Reference> {
  return { path, feeds, outputs: await runAll(runtime, path, feeds, 'none') };
}

export interface VerifyOptions {
  readonly runtime: Runtime;
  /** A runtime with our operators, for an artifact that has nodes for them: it must give what `runtime` gives. */
  readonly accelerated?: Runtime | null;
  /** What to run as written instead of the artifact: the same constants under operators that compute in floats. */
  readonly writtenPath?: string;
  /** The reference that the artifact equals before onnxruntime rewrites it; `reference` when left out. */
  readonly asWritten?: Reference;
}

/**
 * Compares an artifact with the reference.
 * @param loadablePath the artifact, or its unpacked copy where loading it takes too much memory
 * @throws TritforgeError ARTIFACT_VERIFICATION_FAILED
 */
export async function verifyArtifact(
  path: string,
  loadablePath: string,
  reference: Reference,
  { runtime, accelerated = null, asWritten = reference, writtenPath = path }: VerifyOptions,
): Promise<ArtifactReport['verification']> {
  const written = compare(await runAll(runtime, writtenPath, asWritten.feeds, 'none'), asWritten.outputs);
  if (!(written.relativeError <= MAX_ENCODING_ERROR)) {
    throw failed(path, `is ${written.relativeError} of the largest output away from the reference when run as written`);
  }
  const stock = await runAll(runtime, loadablePath, reference.feeds, 'all');
  const fused = compare(stock, reference.outputs);
  if (!(await isClose(fused, runtime, reference))) {
    throw failed(path, `has ${fused.sqnrDb} dB to the reference when run as users run it`);
  }
  const operators =
    accelerated === null ? null : compare(await runAll(accelerated, loadablePath, reference.feeds, 'all'), stock);
  if (operators !== null && !(await isClose(operators, runtime, reference))) {
    throw failed(path, `has ${operators.sqnrDb} dB between stock onnxruntime and ${accelerated!.engine}`);
  }
  return {
    engine: runtime.engine,
    samples: reference.feeds.length,
    encodingMaxAbsError: written.maxAbsError,
    maxAbsError: fused.maxAbsError,
    operatorsMaxAbsError: operators?.maxAbsError ?? null,
    sqnrDb: fused.sqnrDb,
    passed: true,
  };
}

/** Whether a difference is within what roundings explain. */
async function isClose({ sqnrDb }: Difference, runtime: Runtime, reference: Reference): Promise<boolean> {
  return sqnrDb >= MIN_SQNR_DB || sqnrDb >= (await sensitivityDb(runtime, reference)) - SQNR_MARGIN_DB;
}

/** Ratio of the reference's outputs to what slightly other inputs change in them. */
async function sensitivityDb(runtime: Runtime, reference: Reference): Promise<number> {
  const disturbed = reference.feeds.map(
    (feeds) => new Map([...feeds].map(([name, tensor]) => [name, disturb(tensor)])),
  );
  return compare(await runAll(runtime, reference.path, disturbed, 'none'), reference.outputs).sqnrDb;
}

function disturb(tensor: HostTensor): HostTensor {
  if (!(tensor.data instanceof Float32Array)) return tensor;
  const step = DISTURBANCE * tensor.data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return { ...tensor, data: tensor.data.map((value, i) => (i % DISTURBED_STRIDE === 0 ? value + step : value)) };
}

async function runAll(
  runtime: Runtime,
  path: string,
  feeds: readonly Feeds[],
  optimization: 'all' | 'none',
): Promise<Outputs[]> {
  const config = optimization === 'none' ? SAME_KERNELS : {};
  const session = await runtime.load(path, { threads: 1, optimization, config, memoryArena: false });
  try {
    const outputs: Outputs[] = [];
    for (const fed of feeds) outputs.push(await session.run(fed));
    return outputs;
  } finally {
    await session.release();
  }
}

interface Difference {
  readonly maxAbsError: number;
  /** Largest difference over the largest magnitude of the reference. */
  readonly relativeError: number;
  readonly sqnrDb: number;
}

/** Over all floating-point outputs of all runs. A NaN or an infinity on one side alone is an infinite difference. */
function compare(actual: readonly Outputs[], expected: readonly Outputs[]): Difference {
  let [maxAbsError, largest, signal, noise] = [0, 0, 0, 0];
  expected.forEach((outputs, run) => {
    for (const [name, tensor] of outputs) {
      if (!isFloating(tensor.dtype)) continue;
      const [want, have] = [hostFloats(tensor), hostFloats(actual[run]!.get(name)!)];
      if (want.length !== have.length) maxAbsError = Number.POSITIVE_INFINITY;
      for (let i = 0; i < want.length; i++) {
        if (Object.is(want[i], have[i])) {
          if (Number.isFinite(want[i])) {
            largest = Math.max(largest, Math.abs(want[i]!));
            signal += want[i]! ** 2;
          }
          continue;
        }
        const error = Math.abs(want[i]! - have[i]!);
        maxAbsError = Math.max(maxAbsError, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
        largest = Math.max(largest, Math.abs(want[i]!));
        signal += want[i]! ** 2;
        noise += Number.isNaN(error) ? Number.POSITIVE_INFINITY : error ** 2;
      }
    }
  });
  const sqnrDb =
    noise === 0 ? EXACT_SQNR_DB : Math.max(-EXACT_SQNR_DB, Math.min(EXACT_SQNR_DB, 10 * Math.log10(signal / noise)));
  return { maxAbsError, relativeError: maxAbsError === 0 ? 0 : maxAbsError / largest, sqnrDb };
}

function failed(path: string, why: string): TritforgeError {
  return new TritforgeError(
    'ARTIFACT_VERIFICATION_FAILED',
    `The artifact ${path.slice(path.lastIndexOf('/') + 1)} ${why}`,
    {
      remediation:
        'This is an error of the engine; report it with the model, or exclude layers with rules of the recipe.',
    },
  );
}

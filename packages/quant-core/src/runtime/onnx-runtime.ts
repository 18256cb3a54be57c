import { createRequire } from 'node:module';
import { basename } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import type { DataType } from '../ir/index.js';
import { ortError } from './ort-error.js';
import { fromOrtTensor, type TensorConstructor, toOrtTensor } from './ort-tensor.js';
import type { Feeds, HostTensor, Runtime, Session, SessionOptions } from './runtime.js';

type OrtModule = typeof import('onnxruntime-node');

/** onnxruntime's level for messages it prints itself; everything it says reaches us as an exception anyway. */
const FATAL = 4;

let ortModule: Promise<OrtModule> | undefined;

/**
 * Loads onnxruntime-node once per process, with its telemetry off. The Linux build writes a device id under the user's
 * cache and resolves an outside host unless this variable is set before the library is first loaded; there is no call
 * for it. Hence the one assignment to the environment in the engine, and the late import.
 */
function loadOrt(): Promise<OrtModule> {
  ortModule ??= (async () => {
    process.env.ORT_DISABLE_TELEMETRY = '1';
    const imported = await import('onnxruntime-node');
    const ort = (imported as OrtModule & { default?: OrtModule }).default ?? imported;
    ort.env.logLevel = 'fatal';
    return ort;
  })();
  return ortModule;
}

/** Version of the onnxruntime-node package in use, such as `1.30.0`. */
export function onnxruntimeVersion(): string {
  return (createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }).version;
}

/**
 * The runtime on onnxruntime's CPU provider. Loading and running block the calling thread and cannot be interrupted:
 * models of strangers belong in a child process that can be killed.
 *
 * @example const session = await createOnnxRuntime().load('model.onnx', { threads: 1, optimization: 'all' });
 */
export function createOnnxRuntime(): Runtime {
  return {
    engine: `onnxruntime ${onnxruntimeVersion()}`,
    async load(modelPath, options) {
      const ort = await loadOrt();
      const session = await ort.InferenceSession.create(modelPath, ortOptions(options)).catch((cause: unknown) => {
        throw ortError(`cannot load ${basename(modelPath)}`, cause);
      });
      return wrapSession(session, basename(modelPath), ort.Tensor as unknown as TensorConstructor);
    },
  };
}

function ortOptions(options: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: options.optimization === 'all' ? 'all' : 'disabled',
    enableCpuMemArena: options.memoryArena ?? true,
    logSeverityLevel: FATAL,
    ...(options.config && { extra: { ...options.config } }),
  };
}

function wrapSession(session: InferenceSession, modelName: string, Tensor: TensorConstructor): Session {
  let released = false;
  return {
    inputs: session.inputMetadata.map(describe),
    outputs: session.outputMetadata.map(describe),
    async run(feeds: Feeds, fetches?: readonly string[]) {
      try {
        const inputs = Object.fromEntries([...feeds].map(([name, tensor]) => [name, toOrtTensor(tensor, Tensor)]));
        const outputs = await (fetches ? session.run(inputs, fetches) : session.run(inputs));
        return new Map<string, HostTensor>(
          Object.entries(outputs).map(([name, value]) => [name, fromOrtTensor(value)]),
        );
      } catch (cause) {
        throw ortError(`cannot run ${modelName}`, cause);
      }
    },
    async release() {
      if (released) return;
      released = true;
      await session.release();
    },
  };
}

/** onnxruntime says '' for a dimension without a name, and gives values that are not tensors no type. */
function describe(value: InferenceSession.ValueMetadata): Session['inputs'][number] {
  if (!value.isTensor) return { name: value.name, dtype: 'undefined', shape: [] };
  return {
    name: value.name,
    dtype: value.type as DataType,
    shape: value.shape.map((size) => (size === '' ? null : size)),
  };
}

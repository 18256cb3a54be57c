import { basename } from 'node:path';
import { kernelInfo, type OrtTensor, openOrtLibrary, packedKernels } from '@tritforge/kernels';
import type { DataType } from '../ir/index.js';
import { onnxruntimeLibrary } from './onnxruntime-library.js';
import { ortError } from './ort-error.js';
import type { HostTensor, Runtime, Session, SessionOptions } from './runtime.js';

/** Why {@link createTritforgeRuntime} would fail on this machine, or null. */
export function tritforgeRuntimeProblem(): string | null {
  const { reason } = kernelInfo();
  if (reason !== null) return reason;
  return onnxruntimeLibrary() === null ? 'onnxruntime-node ships no library for this system' : null;
}

/**
 * onnxruntime with Tritforge's operators: nodes of the domain `tritforge` run our kernels, everything else is stock onnxruntime,
 * the same library that onnxruntime-node loads.
 * @throws Error saying why there are no native kernels; ask {@link tritforgeRuntimeProblem} before
 */
export function createTritforgeRuntime(): Runtime {
  const problem = tritforgeRuntimeProblem();
  if (problem !== null) throw new Error(problem);
  // As for onnxruntime-node: the library reads it when it is first loaded, and there is no call for it.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const library = openOrtLibrary(onnxruntimeLibrary()!);
  const { active } = packedKernels().cpuFeatures();
  return {
    engine: `tritforge operators (${active}) in onnxruntime ${library.version}`,
    async load(modelPath, options) {
      const session = await library.load(modelPath, loadOptions(options)).catch((cause: unknown) => {
        throw ortError(`cannot load ${basename(modelPath)}`, cause);
      });
      return wrapSession(session, basename(modelPath));
    },
  };
}

function loadOptions({ threads, optimization, memoryArena, config }: SessionOptions) {
  return {
    intraOpThreads: threads,
    optimization,
    memoryArena: memoryArena ?? true,
    ...(config && { config }),
  };
}

function wrapSession(
  session: Awaited<ReturnType<ReturnType<typeof openOrtLibrary>['load']>>,
  modelName: string,
): Session {
  return {
    inputs: session.inputs as Session['inputs'],
    outputs: session.outputs as Session['outputs'],
    async run(feeds, fetches, into) {
      try {
        // The session checks dtypes and data of every tensor itself. Blocking, like the stock runtime: models run in a process of
        // their own, and the way to another thread would be part of every latency.
        const inputs = feeds as ReadonlyMap<string, OrtTensor>;
        const targets = into as ReadonlyMap<string, OrtTensor> | undefined;
        const options = { blocking: true, ...(fetches && { fetches }), ...(targets && { into: targets }) };
        const outputs = await session.run(inputs, options);
        return new Map<string, HostTensor>(
          [...outputs].map(([name, { dtype, shape, data }]) => [name, { dtype: dtype as DataType, shape, data }]),
        );
      } catch (cause) {
        throw ortError(`cannot run ${modelName}`, cause);
      }
    },
    release: () => session.release(),
  };
}

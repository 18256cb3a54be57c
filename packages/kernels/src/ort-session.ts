/**
 * Sessions of ONNX Runtime through its C interface: loading and running happen off the event loop, can be cancelled, and may use
 * the operators of the domain `tritforge`. The library is the caller's; onnxruntime-node ships one.
 */
import { type Addon, loadAddon } from './addon.js';
import { checkOutput, checkTensor, type OrtTensor, type OrtValueInfo } from './ort-tensor.js';

/** A libonnxruntime in this process. It stays loaded. */
export interface OrtLibrary {
  readonly path: string;
  /** Such as `1.30.0`. */
  readonly version: string;
  /**
   * Loads a model.
   * @param model a path, its external data relative to it, or the bytes of a model without external data
   * @throws OrtError with what ONNX Runtime said
   * @throws TypeError or RangeError for an option that makes no sense
   */
  load(model: string | Uint8Array, options?: OrtLoadOptions): Promise<OrtSession>;
}

export interface OrtLoadOptions {
  /** Threads within one operator; 0 is one per core. 1 by default, so that results do not depend on the machine. */
  readonly intraOpThreads?: number;
  /** Whether ONNX Runtime may rewrite the graph: 'all' by default; 'none' runs it as written. */
  readonly optimization?: 'all' | 'none';
  /** Settings by their full names, such as `session.disable_quant_qdq`. */
  readonly config?: Readonly<Record<string, string>>;
  /** Whether freed memory is kept for the next run: faster, but memory does not shrink. On by default. */
  readonly memoryArena?: boolean;
  /** Whether our operators take the nodes of the domain `tritforge`; without, their function bodies run. On by default. */
  readonly customOperators?: boolean;
  /** Records a profile in a file whose path begins with this; see {@link OrtSession.endProfiling}. */
  readonly profilePrefix?: string;
  /** Writes the rewritten model there. */
  readonly optimizedModelPath?: string;
  /** Cancels loading; the promise rejects with the signal's reason at once. */
  readonly signal?: AbortSignal;
}

export interface OrtRunOptions {
  /** Names of outputs to compute; all when left out. */
  readonly fetches?: readonly string[];
  /** Cancels the run; the promise rejects with the signal's reason at once, the work ends at the next node. */
  readonly signal?: AbortSignal;
  /**
   * Runs on the calling thread, which waits, as onnxruntime-node does: it saves the way to another thread and back, which counts for
   * models of microseconds and on a machine that is busy. Such a run cannot be cancelled; a signal is only looked at before it begins.
   */
  readonly blocking?: boolean;
  /**
   * Outputs that are written to arrays of the caller, with the shapes they must have; a new array of many megabytes costs a page fault
   * for every 4 KB. Only for a blocking run. When the run fails they hold anything.
   */
  readonly into?: ReadonlyMap<string, OrtTensor>;
}

/** A loaded model. What is not released is freed with the object. */
export interface OrtSession {
  readonly inputs: readonly OrtValueInfo[];
  readonly outputs: readonly OrtValueInfo[];
  /**
   * Runs the model once. Runs of one session may overlap. Inputs are copied, or read before this returns.
   * @throws TypeError or RangeError for a tensor that does not fit its input, and for unknown names
   * @throws OrtError with what ONNX Runtime said
   */
  run(feeds: ReadonlyMap<string, OrtTensor>, options?: OrtRunOptions): Promise<Map<string, OrtTensor>>;
  /**
   * Closes the profile after the runs that are under way, and returns its path.
   * @throws OrtError when the session was loaded without `profilePrefix`
   */
  endProfiling(): Promise<string>;
  /** Frees the model after the runs that are under way; a run that is started later fails. May be called again. */
  release(): Promise<void>;
}

/** ONNX Runtime refused to do something; the message is its own. */
export class OrtError extends Error {
  override readonly name = 'OrtError';
}

type Described = [name: string, dtype: string, shape: (number | string | null)[]][];
/** The data is null where it went to an array of the caller. */
type Output = [dtype: string, shape: number[], data: OrtTensor['data'] | null];

/** The part of the addon that this file uses; session_exports.h describes it. */
interface OrtAddon extends Addon {
  ortOpen(path: string): [library: object, version: string];
  ortLoad(id: number, library: object, ...args: unknown[]): Promise<[session: object, Described, Described]>;
  ortRun(id: number, session: object, ...args: unknown[]): Promise<Output[]>;
  ortRunHere(id: number, session: object, ...args: unknown[]): Promise<Output[]>;
  ortEndProfiling(id: number, session: object): Promise<string>;
  ortRelease(id: number, session: object): Promise<void>;
  ortCancel(id: number): void;
  ortStop(limitMs: number): boolean;
}

/** How long the end of the process waits for cancelled calls. Threads of ours must not run while its memory is torn down. */
const STOP_LIMIT_MS = 2_000;

let addon: OrtAddon | undefined;
let nextId = 1;

/**
 * Loads ONNX Runtime, once per path and process. Set ORT_DISABLE_TELEMETRY=1 in the environment before.
 *
 * @param path of `libonnxruntime.so.1` or the like, 1.16 or newer
 * @throws NativeKernelsUnavailable when the addon was not built
 * @throws OrtError when the library cannot be loaded, is something else or too old
 * @example const session = await openOrtLibrary(path).load('model.onnx', { intraOpThreads: 2 });
 */
export function openOrtLibrary(path: string): OrtLibrary {
  const native = loadOrtAddon();
  if (typeof path !== 'string' || path === '') throw new TypeError('path must be a non-empty string');
  const [library, version] = ortErrors(() => native.ortOpen(path));
  return {
    path,
    version,
    async load(model, options = {}) {
      const args = loadArguments(model, options);
      const [session, inputs, outputs] = await call((id) => native.ortLoad(id, library, ...args), options.signal);
      return new Session(native, session, described(inputs), described(outputs), options.profilePrefix !== undefined);
    },
  };
}

function loadOrtAddon(): OrtAddon {
  if (addon === undefined) {
    const loaded = loadAddon() as OrtAddon;
    process.once('exit', () => loaded.ortStop(STOP_LIMIT_MS));
    addon = loaded;
  }
  return addon;
}

class Session implements OrtSession {
  readonly inputs: readonly OrtValueInfo[];
  readonly outputs: readonly OrtValueInfo[];
  readonly #addon: OrtAddon;
  readonly #handle: object;
  readonly #inputIndex: ReadonlyMap<string, number>;
  readonly #outputIndex: ReadonlyMap<string, number>;
  readonly #isProfiled: boolean;
  /** Calls that native code has not finished, cancelled ones too. */
  readonly #pending = new Set<Promise<unknown>>();
  #profile: Promise<string> | undefined;
  #released: Promise<void> | undefined;

  constructor(
    native: OrtAddon,
    handle: object,
    inputs: readonly OrtValueInfo[],
    outputs: readonly OrtValueInfo[],
    isProfiled: boolean,
  ) {
    this.#addon = native;
    this.#handle = handle;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#inputIndex = indexByName(inputs);
    this.#outputIndex = indexByName(outputs);
    this.#isProfiled = isProfiled;
  }

  async run(feeds: ReadonlyMap<string, OrtTensor>, options: OrtRunOptions = {}): Promise<Map<string, OrtTensor>> {
    this.#requireLoaded();
    const tensors = [...feeds];
    const inputs = this.#checkedInputs(tensors);
    const fetched = this.#checkedFetches(options.fetches);
    const shapes = tensors.map(([, { shape }]) => shape);
    const data = tensors.map(([, tensor]) => tensor.data);
    const start = (id: number) => this.#track(this.#addon.ortRun(id, this.#handle, inputs, shapes, data, fetched));
    const targets = this.#checkedTargets(options, fetched);
    const into = targets.map((target) => target && [target.shape, target.data]);
    const startHere = () => this.#addon.ortRunHere(0, this.#handle, inputs, shapes, data, fetched, into);
    if (options.blocking) options.signal?.throwIfAborted();
    const results = await (options.blocking ? call(startHere) : call(start, options.signal));
    return new Map(
      results.map(([dtype, shape, values], i) => [
        (this.outputs[fetched[i] as number] as OrtValueInfo).name,
        { dtype: dtype as OrtTensor['dtype'], shape, data: values ?? targets[i]!.data },
      ]),
    );
  }

  async endProfiling(): Promise<string> {
    this.#requireLoaded();
    if (!this.#isProfiled) throw new OrtError('the session was loaded without profilePrefix, there is no profile');
    this.#profile ??= this.#afterPending(() => call((id) => this.#addon.ortEndProfiling(id, this.#handle)));
    return this.#profile;
  }

  release(): Promise<void> {
    this.#released ??= this.#afterPending(() => call((id) => this.#addon.ortRelease(id, this.#handle)));
    return this.#released;
  }

  async #afterPending<T>(work: () => Promise<T>): Promise<T> {
    await Promise.allSettled([...this.#pending, this.#profile]);
    return work();
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = promise.then(
      () => this.#pending.delete(settled),
      () => this.#pending.delete(settled),
    );
    this.#pending.add(settled);
    return promise;
  }

  #requireLoaded(): void {
    if (this.#released !== undefined) throw new OrtError('the session was released');
  }

  #checkedInputs(tensors: readonly [string, OrtTensor][]): number[] {
    const indexes = tensors.map(([name, tensor]) => {
      const index = this.#inputIndex.get(name);
      if (index === undefined) throw new RangeError(`unknown input "${name}"; the model has ${namesOf(this.inputs)}`);
      checkTensor('input', this.inputs[index] as OrtValueInfo, tensor);
      return index;
    });
    const missing = this.inputs.filter((_, index) => !indexes.includes(index));
    if (missing.length > 0) throw new RangeError(`missing: ${namesOf(missing)}; got ${tensors.length} inputs`);
    return indexes;
  }

  /** For each output that is fetched what it is written to, or null. */
  #checkedTargets({ blocking, into = new Map() }: OrtRunOptions, fetched: readonly number[]): (OrtTensor | null)[] {
    if (into.size > 0 && !blocking) throw new RangeError('into is only for a blocking run');
    const names = fetched.map((index) => (this.outputs[index] as OrtValueInfo).name);
    for (const [name, tensor] of into) {
      const at = names.indexOf(name);
      if (at < 0) throw new RangeError(`into has "${name}", which is not an output that is computed`);
      checkTensor('output', this.outputs[fetched[at] as number] as OrtValueInfo, tensor);
    }
    return names.map((name) => into.get(name) ?? null);
  }

  #checkedFetches(fetches: readonly string[] | undefined): number[] {
    const indexes = [...new Set(fetches ?? this.outputs.map(({ name }) => name))].map((name) => {
      const index = this.#outputIndex.get(name);
      if (index === undefined) throw new RangeError(`unknown output "${name}"; the model has ${namesOf(this.outputs)}`);
      checkOutput(this.outputs[index] as OrtValueInfo);
      return index;
    });
    if (indexes.length === 0) throw new RangeError('fetches must name at least one output');
    return indexes;
  }
}

/** Starts a native call that a signal cancels, and makes its failure an OrtError. */
function call<T>(start: (id: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const id = nextId++;
  const result = start(id).catch((cause: unknown) => {
    throw new OrtError((cause as Error).message, { cause });
  });
  if (signal === undefined) return result;
  return new Promise((resolve, reject) => {
    const abort = () => {
      addon?.ortCancel(id);
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function ortErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new OrtError((cause as Error).message, { cause });
  }
}

/** The positional arguments of ortLoad after the library; native code checks types and ranges. */
function loadArguments(model: string | Uint8Array, options: OrtLoadOptions): unknown[] {
  const { optimization = 'all', config = {} } = options;
  if (optimization !== 'all' && optimization !== 'none') {
    throw new RangeError(`optimization must be 'all' or 'none', got ${optimization}`);
  }
  return [
    model,
    options.intraOpThreads ?? 1,
    optimization === 'all',
    options.memoryArena ?? true,
    options.customOperators ?? true,
    Object.keys(config),
    Object.values(config),
    optionalPath(options.profilePrefix, 'profilePrefix'),
    optionalPath(options.optimizedModelPath, 'optimizedModelPath'),
  ];
}

/** Native code takes '' for a path that is not given. */
function optionalPath(path: string | undefined, name: string): string {
  if (path === '') throw new RangeError(`${name} must not be empty`);
  return path ?? '';
}

function described(values: Described): OrtValueInfo[] {
  return values.map(([name, dtype, shape]) => ({ name, dtype: dtype as OrtValueInfo['dtype'], shape }));
}

function indexByName(values: readonly OrtValueInfo[]): Map<string, number> {
  return new Map(values.map(({ name }, index) => [name, index]));
}

function namesOf(values: readonly OrtValueInfo[]): string {
  return values.map(({ name }) => `"${name}"`).join(', ');
}

import type { DataType } from '../ir/index.js';

/**
 * A dense tensor in memory, as execution takes and returns it. int64 is BigInt64Array, bool is Uint8Array, float16 is
 * Uint16Array.
 */
export interface HostTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly data:
    | Float32Array
    | Float64Array
    | Int8Array
    | Uint8Array
    | Int16Array
    | Uint16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array
    | readonly string[];
}

/** Named tensors: what goes into a model, or what comes out. */
export type Feeds = ReadonlyMap<string, HostTensor>;

export interface SessionOptions {
  /** Threads within one operator; 1 where results must not depend on the machine. */
  readonly threads: number;
  /** Whether onnxruntime may rewrite the graph. `none` runs it as written. */
  readonly optimization: 'all' | 'none';
  /** Whether the engine keeps freed memory for the next run: faster, but memory does not shrink. On by default. */
  readonly memoryArena?: boolean;
  /** The engine's own settings by their full names, such as `session.disable_quant_qdq`. */
  readonly config?: Readonly<Record<string, string>>;
}

/** A loaded model. */
export interface Session {
  readonly inputs: readonly {
    readonly name: string;
    readonly dtype: DataType;
    readonly shape: readonly (number | string | null)[];
  }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly dtype: DataType;
    readonly shape: readonly (number | string | null)[];
  }[];
  /**
   * Runs the model once.
   * @param fetches names of outputs to compute; all when left out.
   * @param into tensors that outputs may be written to, if the engine can; what is returned counts
   * @throws TritforgeError MODEL_RUN_FAILED with what onnxruntime said
   */
  run(feeds: Feeds, fetches?: readonly string[], into?: Feeds): Promise<Map<string, HostTensor>>;
  release(): Promise<void>;
}

/** Executes models. The only implementation on onnxruntime is in runtime/; everything else takes this interface. */
export interface Runtime {
  /** Name and version of the engine, such as `onnxruntime 1.30.0`. */
  readonly engine: string;
  /**
   * Loads a model file, its external data relative to it.
   * @throws TritforgeError MODEL_RUN_FAILED when the engine refuses the model
   */
  load(modelPath: string, options: SessionOptions): Promise<Session>;
}

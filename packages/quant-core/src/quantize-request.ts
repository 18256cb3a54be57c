import type { Gates, Metric, Phase, Preprocess, Progress, Recipe } from '@tritforge/contracts';
import type { SolverThreads } from './in-order/solver-threads.js';
import type { Runtime } from './runtime/runtime.js';

/** A dataset file. */
export interface DatasetReference {
  readonly path: string;
  /** Content digest, `sha256:…`, for the report; computed from the file when left out. */
  readonly digest?: string | undefined;
  readonly preprocess?: Preprocess | undefined;
}

/** What to quantize, how, and where results go. */
export interface QuantizeRequest {
  readonly modelPath: string;
  readonly recipe: Recipe;
  /** An existing folder. Artifacts become `<fileStem>.<method>[-n<N>][-a4].<profile>.onnx` in it, N only for fgq. */
  readonly outputDir: string;
  readonly fileStem: string;
  /** An existing folder on the same file system as `outputDir`, for files that are removed again. */
  readonly scratchDir: string;
  /**
   * A folder that outlives the process, made when missing: layers that were solved go there, and another attempt at the same
   * request goes on behind them, to the same artifacts. Removing it is up to the caller. Without effect where sensitivities are measured.
   */
  readonly checkpointDir?: string | undefined;
  readonly calibration?: DatasetReference | undefined;
  readonly evaluation?: DatasetReference | undefined;
  /** What the quantized network is fine-tuned on where the recipe asks for it; the calibration data when left out. */
  readonly training?: DatasetReference | undefined;
  /** Chosen from the data when left out. */
  readonly metric?: Metric | undefined;
  readonly gates?: Gates | undefined;
  /** Threads within one operator, 1 when left out. */
  readonly threads?: number | undefined;
  /** Threads that layers are solved on, as many as the processor runs at once when left out. Results do not depend on it. */
  readonly solverThreads?: number | undefined;
  /** Bytes of activations that calibration may keep at a time. */
  readonly memoryCapBytes?: number | undefined;
  readonly maxCalibrationSamples?: number | undefined;
}

/** How far a phase has come. */
export interface PhaseProgress extends Progress {
  phase: Phase;
}

/** What the engine needs from its host. */
export interface QuantizeContext {
  readonly runtime: Runtime;
  /** The runtime with Tritforge's operators, to check and time accelerated artifacts with; null where it cannot run. */
  readonly accelerated?: Runtime | null | undefined;
  readonly onProgress?: ((progress: PhaseProgress) => void) | undefined;
  /** Stops the work between two steps with TritforgeError CANCELED. */
  readonly signal?: AbortSignal | undefined;
  /** What layers are solved on; `quantize` makes and ends its own when left out. */
  readonly solverThreads?: SolverThreads | undefined;
  /** Brings a search or a training to its end: the best network so far is taken. Nothing else heeds it. */
  readonly settle?: AbortSignal | undefined;
}

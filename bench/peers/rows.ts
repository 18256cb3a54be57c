import type { SetAccuracy } from '../accuracy/rows.js';
import type { PeerSetting } from './settings.js';

/** What `quantize.py` prints. */
export interface PeerOutcome {
  /** Layers that were quantized. */
  readonly layers: number;
  /** Layers with constant weights that the model has. */
  readonly ofLayers: number;
  readonly weights: number;
  /** Stored codes, scales and zero points of these weights. */
  readonly bytes: number;
  /** Layers whose quantized weights are stored as floats, for want of an encoding. */
  readonly keptAsFloats: number;
  readonly seconds: number;
  /** Settings without which the tool fails on this model. */
  readonly switches?: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
}

/** One model by one tool. */
export interface PeerRow {
  readonly model: string;
  readonly setting: PeerSetting;
  readonly calibrationSamples: number;
  readonly versions: PeerOutcome['versions'] | null;
  /** Null where the tool failed, or quantized nothing. */
  readonly result: {
    readonly accuracies: readonly SetAccuracy[];
    readonly sizeBytes: number;
    /** Of the quantized layers; what they would take where {@link PeerOutcome.keptAsFloats} are stored as floats. */
    readonly bitsPerWeight: number;
    /** Of the whole file, per parameter of the original. */
    readonly wholeModelBits: number;
    readonly layers: number;
    readonly ofLayers: number;
    readonly keptAsFloats: number;
    readonly seconds: number;
    readonly switches?: readonly string[];
  } | null;
  /** Why there is no result. */
  readonly problem: string | null;
}

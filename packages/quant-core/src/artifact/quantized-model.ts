import type { ActivationPlan } from '../activations/plan-activations.js';
import type { MaxCode } from '../calibrate/index.js';
import type { Model, Tensor } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import type { WeightEncoding } from './weight-encoders.js';

/** The quantization of a value, q = clamp(round(x / scale) + zeroPoint, 0, maxCode), stored as uint8. */
export interface ActivationScale {
  readonly scale: number;
  readonly zeroPoint: number;
  /** 255 with 8 bits, 15 with 4, 7 with 3, 3 with 2. */
  readonly maxCode: MaxCode;
}

/** Everything that the graph is made from. */
export interface QuantizedModel {
  /** After all passes; not modified. */
  readonly prepared: Model;
  readonly layers: readonly PlannedLayer[];
  readonly activations: ActivationPlan;
  /** By the value that the plan names as `rangeOf`. */
  readonly scales: ReadonlyMap<string, ActivationScale>;
  readonly weights: ReadonlyMap<Tensor, EncodedWeight>;
}

export interface BuildOptions {
  readonly encoding: WeightEncoding;
  /** Standard opset of the result; raised to the model's own. */
  readonly minimumOpset: number;
  /** Values that must exist by their own name, to be observed. */
  readonly keepValues?: readonly string[];
  /** Where large weights go that are stored in another order than the model has them; in memory when left out. */
  readonly scratch?: ScratchTensors;
}

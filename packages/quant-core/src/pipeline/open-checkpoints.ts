import type { ResolvedRecipe } from '@tritforge/contracts';
import { ENGINE_VERSION } from '../engine-version.js';
import { cpuName } from '../evaluate/index.js';
import { fileDigest } from '../file-digest.js';
import { LayerCheckpoints } from '../in-order/layer-checkpoints.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import { identityOf } from '../train/checkpoint.js';
import type { JobData } from './job-data.js';

/** Everything that solved layers depend on besides each other. */
export interface Origin {
  /** All files of the model. */
  readonly modelFiles: readonly string[];
  readonly recipe: ResolvedRecipe;
  readonly data: JobData;
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
}

/** Opens the layers that an earlier attempt left; undefined where the request names no folder for them. */
export async function openCheckpoints(origin: Origin): Promise<LayerCheckpoints | undefined> {
  const { checkpointDir } = origin.request;
  return checkpointDir === undefined ? undefined : LayerCheckpoints.open(checkpointDir, await originDigest(origin));
}

/** A digest of it: another attempt may go on only from what has the same. */
export async function originDigest({ modelFiles, recipe, data, request, context }: Origin): Promise<string> {
  const { calibration, memoryCapBytes, maxCalibrationSamples } = request;
  const model: string[] = [];
  for (const path of modelFiles) model.push(await fileDigest(path));
  const identity = {
    // The last bits of a result may differ between kinds of processors.
    engine: [ENGINE_VERSION, context.runtime.engine, cpuName()],
    model,
    recipe,
    calibration: [data.calibration?.digest, calibration?.preprocess],
    limits: [memoryCapBytes, maxCalibrationSamples],
  };
  return identityOf(identity);
}

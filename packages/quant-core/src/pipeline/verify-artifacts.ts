import { join } from 'node:path';
import { buildGraph, type QuantizedModel } from '../artifact/build-graph.js';
import { type Reference, runReference, verifyArtifact } from '../artifact/verify.js';
import { PROFILE_OPSET, type WrittenModel } from '../artifact/write-artifacts.js';
import type { Model } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { QuantizeContext } from '../quantize-request.js';
import type { Feeds } from '../runtime/runtime.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { judgedValues } from './layer-outputs.js';
import type { VerifiedArtifact } from './report.js';
import { isHeavyToLoad, unpackedCopy } from './unpacked-copy.js';

/** An artifact on disk and how it is written. */
export type WrittenArtifact = WrittenModel & Pick<VerifiedArtifact, 'profile'>;

/** What verifying takes. */
export interface VerifyStep {
  readonly context: QuantizeContext;
  /** An existing folder for files that are removed with it. */
  readonly scratchDir: string;
  readonly scratch: ScratchTensors;
  /** Inputs to run on. */
  readonly feeds: readonly Feeds[];
  /** Called after each artifact; may throw to stop. */
  readonly onArtifact: (done: number) => void;
}

/**
 * Verifies that artifacts compute what the network says.
 * @returns the artifacts, and the reference model whose judged values can be observed
 * @throws TritforgeError ARTIFACT_VERIFICATION_FAILED
 */
export async function verifyArtifacts(
  network: QuantizedModel,
  written: readonly WrittenArtifact[],
  step: VerifyStep,
): Promise<{ artifacts: VerifiedArtifact[]; reference: Model }> {
  const { runtime, accelerated } = step.context;
  const model = await buildGraph(network, {
    encoding: 'reference',
    minimumOpset: PROFILE_OPSET.compat,
    keepValues: judgedValues(network),
  });
  const path = join(step.scratchDir, 'reference.onnx');
  await writeModel(model, path, { externalData: 'by-reference' });
  const reference = await runReference(runtime, path, step.feeds);
  const artifacts: VerifiedArtifact[] = [];
  for (const artifact of written) {
    const loadablePath = await loadable(artifact, network, step);
    const verification = await verifyArtifact(artifact.path, loadablePath, reference, {
      runtime,
      ...(artifact.profile === 'accelerated' && {
        accelerated: accelerated ?? null,
        asWritten: await integerReference(network, step),
      }),
      ...(artifact.profile === 'ort-nbits' && { writtenPath: await exactTwin(network, step) }),
    });
    artifacts.push({ ...artifact, loadablePath, verification });
    step.onArtifact(artifacts.length);
  }
  return { artifacts, reference: model };
}

/** The model file by which an artifact is loaded to be measured. */
export async function loadable(
  { path }: WrittenModel,
  network: QuantizedModel,
  { context, scratch, scratchDir }: Pick<VerifyStep, 'context' | 'scratch' | 'scratchDir'>,
): Promise<string> {
  return isHeavyToLoad(network) ? unpackedCopy(path, { runtime: context.runtime, scratch, scratchDir }) : path;
}

/** The path of the `ort-nbits` artifact with operators that compute in floats. */
async function exactTwin(network: QuantizedModel, { scratch, scratchDir }: VerifyStep): Promise<string> {
  const model = await buildGraph(network, {
    encoding: 'nbitsReference',
    minimumOpset: PROFILE_OPSET['ort-nbits'],
    scratch,
  });
  const path = join(scratchDir, 'nbits-reference.onnx');
  await writeModel(model, path, { externalData: 'by-reference' });
  return path;
}

/** What accelerated artifacts are compared with. */
async function integerReference(
  network: QuantizedModel,
  { context, feeds, scratch, scratchDir }: VerifyStep,
): Promise<Reference> {
  const model = await buildGraph(network, {
    encoding: 'integerReference',
    minimumOpset: PROFILE_OPSET.accelerated,
    scratch,
  });
  const path = join(scratchDir, 'integer-reference.onnx');
  await writeModel(model, path, { externalData: 'by-reference' });
  return runReference(context.runtime, path, feeds);
}

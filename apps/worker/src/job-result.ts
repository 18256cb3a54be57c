import { join } from 'node:path';
import {
  type ArtifactProfile,
  type Job,
  type Report,
  type SerializedError,
  TritforgeError,
} from '@tritforge/contracts';
import type { BlobStorage, NewArtifact, NewFile, Outcome, StagedBlob } from '@tritforge/store';

/** The oldest onnxruntime that runs an artifact of a profile. */
const REQUIRED_ONNXRUNTIME: Readonly<Record<ArtifactProfile, string>> = {
  portable: '>=1.21',
  compat: '>=1.16',
  accelerated: '>=1.21',
  // MatMulNBits of 2 bits; of 4 bits it is older.
  'ort-nbits': '>=1.24',
};

/** A result that is stored but not published yet. */
export interface StagedResult {
  readonly outcome: Outcome;
  /** Sends the files to where publishing them is short, which may take long. Call it while the lease of the job is held. */
  send(): Promise<void>;
  /** Removes what was not published. */
  discard(): Promise<void>;
}

/**
 * Stages the artifacts of a finished run and decides how the job ends: a failed gate fails the job when it asked for
 * that, and its artifacts stay available.
 */
export async function stageResult(
  blobs: BlobStorage,
  job: Job,
  report: Report,
  outputDir: string,
  signal: AbortSignal,
): Promise<StagedResult> {
  const staged: StagedBlob[] = [];
  const discard = async () => {
    await Promise.all(staged.map((blob) => blob.discard()));
  };
  const send = async () => {
    for (const blob of staged) await blob.send();
  };
  const stage = async (name: string): Promise<NewFile> => {
    const blob = await blobs.putFile(join(outputDir, name), { signal });
    staged.push(blob);
    return { name, blob };
  };
  try {
    const artifacts: NewArtifact[] = [];
    for (const artifact of report.artifacts) artifacts.push(await toNewArtifact(artifact, stage));
    const error = gateError(job, report);
    const outcome: Outcome =
      error === null ? { state: 'succeeded', report, artifacts } : { state: 'failed', error, report, artifacts };
    return { outcome, send, discard };
  } catch (error) {
    await discard();
    throw error;
  }
}

async function toNewArtifact(
  artifact: Report['artifacts'][number],
  stage: (name: string) => Promise<NewFile>,
): Promise<NewArtifact> {
  const { profile, fileName, externalDataFileName, opset, irVersion, bitsPerWeight } = artifact;
  const files = [await stage(fileName), ...(externalDataFileName === null ? [] : [await stage(externalDataFileName)])];
  return {
    profile,
    files,
    opset,
    irVersion,
    bitsPerWeight,
    requires: { onnxruntime: REQUIRED_ONNXRUNTIME[profile], ops: profile === 'accelerated' ? 'tritforge>=1' : null },
  };
}

function gateError({ gates }: Job, report: Report): SerializedError | null {
  const failed = report.gates.filter(({ passed }) => !passed);
  if (gates.requested?.onFailure !== 'fail' || failed.length === 0) return null;
  const list = failed.map(({ name, value, limit }) => `${name} is ${value ?? 'not known'}, the limit is ${limit}`);
  return new TritforgeError('GATE_FAILED', `${list.join('; ')}.`, {
    field: 'gates',
    remediation:
      'Choose a smaller group size, exclude the layers with the lowest SQNR in the report, or relax the gate.',
  }).toJSON();
}

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Artifact } from '@tritforge/contracts';
import { createOnnxRuntime } from '@tritforge/quant-core';
import { expectJson } from '#test/support/http';
import type { AcceptedJob } from '../pipeline/ledger.js';
import type { CheckContext } from './context.js';
import { readJobs } from './jobs.js';

/**
 * Every published artifact downloads, has its digest, is loaded by onnxruntime, and is the same that the same work gave in any other
 * round.
 */
export async function checkArtifacts(context: CheckContext): Promise<string[]> {
  const { client, ledger, keepsake } = context;
  const published = new Set((await readJobs(context)).filter(({ artifacts }) => artifacts > 0).map(({ id }) => id));
  const jobs = [...ledger.jobs.values(), keepsake].filter(({ id }) => published.has(id));
  const folder = await mkdtemp(join(tmpdir(), 'tritforge-faults-download-'));
  try {
    const wrong: string[] = [];
    for (const job of jobs) {
      const answer = await client.send(`/jobs/${job.id}/artifacts`);
      const { items } = await expectJson<{ items: Artifact[] }>(answer, 200);
      for (const artifact of items) wrong.push(...(await artifactFaults(context, job, artifact, folder)));
    }
    return wrong;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function artifactFaults(
  { client, artifactDigests, keepsake }: CheckContext,
  job: AcceptedJob,
  { id, digest }: Artifact,
  folder: string,
): Promise<string[]> {
  const name = `artifact ${id} of job ${job.id} (${job.task})`;
  const answer = await client.send(`/artifacts/${id}/content`);
  if (answer.status !== 200) return [`${name} cannot be downloaded: ${answer.status} ${await answer.text()}`];
  const content = Buffer.from(await answer.arrayBuffer());
  const actual = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  if (actual !== digest) return [`${name} has the digest ${actual} in place of ${digest}`];
  const work = job === keepsake ? 'keepsake' : job.work;
  const known = artifactDigests.get(work) ?? digest;
  artifactDigests.set(work, known);
  if (known !== digest) return [`${name} (${work}) is ${digest}, and the same work gave ${known} before`];
  const path = join(folder, 'artifact.onnx');
  await writeFile(path, content);
  return loads(path).then(
    () => [],
    (error: Error) => [`${name} cannot be loaded: ${error.message}`],
  );
}

async function loads(path: string): Promise<void> {
  const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'all' });
  await session.release();
}

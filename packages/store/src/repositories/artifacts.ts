import { type Artifact, newId } from '@tritforge/contracts';
import { publishBlobs } from '../blobs/blob-references.js';
import { type Database, storableText, toJson } from '../database.js';
import type { Prisma, PrismaClient } from '../generated/client.js';
import { expiryOf } from '../jobs/job-rows.js';
import { isWhole, type NewFile, toFileRows, toStoredFiles, totalBytes } from './files.js';
import type { Reach } from './reach.js';

export interface NewArtifact extends Pick<Artifact, 'profile' | 'opset' | 'irVersion' | 'requires' | 'bitsPerWeight'> {
  /** The first is the .onnx file. */
  readonly files: readonly NewFile[];
}

/** Artifacts are written by `JobRepository.finish`, together with the end of their job. */
export interface ArtifactRepository {
  get(id: string): Promise<Artifact | null>;
  /** The artifacts of a job in the order in which the job gave them. */
  listByJob(jobId: string): Promise<Artifact[]>;
}

/** What an artifact's row needs beside it to be shown. */
const SHOWN = {
  files: { orderBy: { position: 'asc' } },
  job: { select: { expiresAt: true, keptSeconds: true, finishedAt: true } },
} as const satisfies Prisma.ArtifactInclude;

type ArtifactRow = Prisma.ArtifactGetPayload<{ include: typeof SHOWN }>;

/** Null where its job was deleted while it was read. */
function toArtifact(row: ArtifactRow): Artifact | null {
  const job: ArtifactRow['job'] | null = row.job;
  if (job === null || !isWhole(row)) return null;
  return {
    id: row.id,
    jobId: row.jobId,
    profile: row.profile as Artifact['profile'],
    fileName: row.fileName,
    files: toStoredFiles(row.files),
    sizeBytes: Number(row.sizeBytes),
    digest: row.digest,
    opset: row.opset,
    irVersion: row.irVersion,
    requires: row.requires as Artifact['requires'],
    bitsPerWeight: row.bitsPerWeight as Artifact['bitsPerWeight'],
    createdAt: row.createdAt.toISOString(),
    expiresAt: expiryOf(job),
  };
}

export function createArtifactRepository(db: PrismaClient, reach: Reach): ArtifactRepository {
  return {
    get: async (id) => {
      const row = await db.artifact.findFirst({ where: { id, job: reach }, include: SHOWN });
      return row && toArtifact(row);
    },
    listByJob: async (jobId) => {
      const rows = await db.artifact.findMany({
        where: { jobId, job: reach },
        orderBy: { position: 'asc' },
        include: SHOWN,
      });
      return rows.map(toArtifact).filter((artifact) => artifact !== null);
    },
  };
}

/** Publishes the files of a job's artifacts and writes the rows, within the transaction that ends the job. */
export async function insertArtifacts(tx: Database, jobId: string, artifacts: readonly NewArtifact[]): Promise<void> {
  await publishBlobs(
    tx,
    artifacts.flatMap(({ files }) => files.map((file) => file.blob)),
  );
  for (const [position, artifact] of artifacts.entries()) {
    const { files, profile, opset, irVersion } = artifact;
    const [main] = files;
    if (!main) throw new RangeError('an artifact has at least one file');
    await tx.artifact.create({
      data: {
        id: newId('artifact'),
        jobId,
        position,
        profile,
        opset,
        irVersion,
        fileName: storableText(main.name),
        sizeBytes: totalBytes(files),
        digest: main.blob.digest,
        requires: toJson(artifact.requires),
        bitsPerWeight: toJson(artifact.bitsPerWeight),
        files: { create: toFileRows(files) },
      },
    });
  }
}

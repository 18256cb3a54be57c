import path from 'node:path';
import type { Job } from '@tritforge/contracts';
import { type AuditLog, createAuditLog } from './access/audit.js';
import { AuditWriter } from './access/audit-writer.js';
import { createKeyRepository, type KeyRepository } from './access/keys.js';
import { createProjectRepository, type ProjectRepository } from './access/projects.js';
import { UPLOADS_ROOT } from './blobs/blob-layout.js';
import { sweepBlobs } from './blobs/blob-references.js';
import type { BlobStorage } from './blobs/blob-storage.js';
import { openBlobStorage, openBucketUploads } from './blobs/open-blob-storage.js';
import type { BucketUploads } from './blobs/s3/bucket-uploads.js';
import type { S3Config } from './blobs/s3/s3-config.js';
import { type Connection, connectDatabase, pingDatabase } from './database.js';
import { createEventLog, type EventLog } from './events/event-log.js';
import { type JobWatch, openJobWatch } from './events/job-watch.js';
import { createJobDesk, createJobRepository } from './jobs/create-job-repository.js';
import { deleteJob } from './jobs/delete-jobs.js';
import { nextJobs } from './jobs/fair-order.js';
import { type JobCounts, jobCounts } from './jobs/job-counts.js';
import type { JobDesk, JobRepository, NewJob, SweptJobs } from './jobs/job-repository.js';
import { sweepPastRuns } from './jobs/past-runs.js';
import { QueueOutlook } from './jobs/queue-outlook.js';
import { jobMinutesOfDay, type StorageUse, storageUse } from './limits/quotas.js';
import { openRateLimits, type RateLimits, sweepRateCounts } from './limits/rate-limits.js';
import { createOnceRepository, type Once, type OnceRepository, sweepOnceKeys } from './once/once.js';
import { openQueue } from './queue/bull-queue.js';
import type { JobQueue } from './queue/job-queue.js';
import { type ArtifactRepository, createArtifactRepository } from './repositories/artifacts.js';
import { createDatasetRepository, type DatasetRepository } from './repositories/datasets.js';
import { createModelRepository, type ModelRepository } from './repositories/models.js';
import { ALL_PROJECTS, projectOf, type Reach } from './repositories/reach.js';
import { type ObjectSources, openObjectSources, type SourcesConfig } from './sources/object-sources.js';
import { type Expired, sweepExpired } from './sweep-expired.js';
import { sweepBucket, sweepDirectUploads } from './uploads/direct-sweep.js';
import { createDirectUploadRepository, type DirectUploadRepository } from './uploads/direct-uploads.js';
import { openUploadFiles, type UploadFiles } from './uploads/upload-files.js';
import { createUploadRepository, sweepUploads, type UploadRepository } from './uploads/uploads.js';
import { createDeliveryQueue, type DeliveryQueue } from './webhooks/deliveries.js';
import { createWebhookRepository, type WebhookRepository } from './webhooks/webhooks.js';

export interface StoreConfig {
  /** `postgresql://user:password@host:port/database`; its migrations must be deployed (`deployMigrations`). */
  readonly databaseUrl: string;
  /** `redis://…` or `rediss://…`; without it jobs are dispatched through the database. */
  readonly redisUrl?: string | null | undefined;
  /**
   * Directory of the blobs and of uploads on their way; created when missing. All processes of one service share it; where the blobs are in
   * a bucket, for uploads that arrive in pieces alone.
   */
  readonly blobDir: string;
  /** The bucket of the blobs; without it they are in `blobDir`. */
  readonly s3?: S3Config | null | undefined;
  /** Objects that may be named in place of files; none by default. */
  readonly sources?: SourcesConfig | undefined;
  /** Start of the queue's name, `tritforge` by default; keeps several services on one Redis apart. */
  readonly queuePrefix?: string | undefined;
  /** Attempts of a job before it fails with JOB_CRASHED; 3 by default. */
  readonly maxAttempts?: number | undefined;
  /** How long a claim, and a delivery of the queue, lives without a heartbeat; 10 s by default. Renew claims five times in that span. */
  readonly leaseMs?: number | undefined;
}

/** One part of the store in a readiness check. */
export interface Check {
  readonly name: 'database' | 'queue' | 'blobs';
  readonly ok: boolean;
  readonly durationMs: number;
  /** Why it is not ok. */
  readonly message: string | null;
}

/** What a reconciliation changed. */
export interface Reconciled extends SweptJobs {
  /** Queued rows that were put on the queue; most of them were there already. */
  readonly offered: number;
}

/** What the keys of a project see and do. */
export interface ProjectStore {
  readonly models: ModelRepository;
  readonly datasets: DatasetRepository;
  readonly jobs: JobDesk;
  readonly artifacts: ArtifactRepository;
  readonly events: EventLog;
  readonly audit: AuditLog;
  readonly webhooks: WebhookRepository;
  /** Files that arrive in pieces. */
  readonly uploads: UploadRepository;
  /** Files that go straight to the bucket; null where there is none that clients reach. */
  readonly directUploads: DirectUploadRepository | null;
  /** Requests that are answered once. */
  readonly once: OnceRepository;
  /**
   * Writes the row of a job, then puts it on the queue. When the queue cannot be reached the job is kept and
   * `reconcile` dispatches it later.
   * @param once the claim of the request that asks for it: its answer is kept together with the row
   * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND, IDEMPOTENCY_IN_PROGRESS where the claim has gone to another request
   */
  submitJob(job: NewJob, once?: Once<Job>): Promise<Job>;
  storageUse(): Promise<StorageUse>;
  /** Minutes that workers spent on jobs of the key in the last 24 hours. */
  jobMinutesOfDay(keyId: string): Promise<number>;
  /** `jobs.cancel`, and takes the job off the queue. */
  cancelJob(id: string): Promise<Job>;
  /**
   * Deletes a job that has ended with its artifacts, report and events, and each file that nothing else refers to. What it used of quotas
   * stays used, and webhooks are still told of its end.
   * @throws TritforgeError JOB_NOT_FOUND, JOB_NOT_ENDED
   */
  deleteJob(id: string): Promise<void>;
}

/**
 * Everything that API and workers keep: rows, bytes and the queue. As a {@link ProjectStore} it sees all projects, for workers and
 * tools; what it creates belongs to the project `default`.
 */
export interface Store extends ProjectStore {
  readonly jobs: JobRepository;
  readonly projects: ProjectRepository;
  readonly keys: KeyRepository;
  readonly blobs: BlobStorage;
  readonly sources: ObjectSources;
  readonly queue: JobQueue;
  readonly watch: JobWatch;
  readonly rateLimits: RateLimits;
  readonly deliveries: DeliveryQueue;
  /** Nothing of other projects can be reached through it. @param id of a project that exists */
  inProject(id: string): ProjectStore;
  /**
   * Repairs what crashes left behind: running jobs without a worker are queued again (or fail), queued jobs that are
   * missing from the queue are put there. Cheap; any number of workers may call it, every 5 s or so.
   */
  reconcile(): Promise<Reconciled>;
  jobCounts(): Promise<JobCounts>;
  /**
   * Puts the jobs whose turn it is on the queue, where they are not there: a job that ends may have been what others of its key
   * waited for.
   */
  offerNext(): Promise<void>;
  /** Deletes blobs that no row refers to, which a crash between file and row can leave. Returns their number. */
  sweepBlobs(): Promise<number>;
  /** Deletes uploads that have expired, some at a time. Cheap. Returns their number. */
  sweepUploads(): Promise<number>;
  /**
   * Deletes what of direct uploads is in the bucket without a row, which a crash can leave; nothing where there is no bucket. Returns how
   * much that is.
   */
  sweepBucketUploads(): Promise<number>;
  /** Deletes models, datasets and jobs that have expired, some at a time. Cheap; any number of workers may call it. Returns how many. */
  sweepExpired(): Promise<Expired>;
  /** Forgets answers and counts of requests that are too old to matter. Returns their number. */
  sweepRequests(): Promise<number>;
  /** Forgets what deleted jobs used when nobody counts it any more. Returns of how many jobs. */
  sweepPastRuns(): Promise<number>;
  /** Checks every part; never throws. */
  ping(): Promise<Check[]>;
  close(): Promise<void>;
}

const DEFAULT_MAX_ATTEMPTS = 3;
const DEFAULT_LEASE_MS = 10_000;
const DEFAULT_QUEUE_PREFIX = 'tritforge';
/** A queued row that is younger than this may still be on its way to the queue. */
const DISPATCH_GRACE_MS = 2_000;
const NO_SOURCES: SourcesConfig = {
  allowed: [],
  forbidden: [],
  connection: { endpoint: null, region: null, addressing: 'auto' },
};
/** Rows offered to the queue in one reconciliation: the oldest, which must be among the next to run. */
const OFFER_LIMIT = 20;

/**
 * Connects to everything.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE when a part cannot be reached or the migrations are not deployed.
 * @example
 * await deployMigrations(databaseUrl);
 * const store = await openStore({ databaseUrl, blobDir: '.data/blobs' });
 */
export async function openStore(config: StoreConfig): Promise<Store> {
  const db = connectDatabase(config.databaseUrl);
  const auditWriter = new AuditWriter(db.statements);
  const closers = [() => auditWriter.flush(), () => db.$disconnect()];
  try {
    await pingDatabase(db);
    const blobs = await openBlobStorage(config.blobDir, config.s3 ?? null);
    closers.unshift(() => blobs.close());
    const bucketUploads = await openBucketUploads(config.s3 ?? null);
    closers.unshift(async () => bucketUploads?.close());
    const sources = openObjectSources(config.sources ?? NO_SOURCES);
    closers.unshift(() => sources.close());
    const uploadFiles = await openUploadFiles(path.join(config.blobDir, UPLOADS_ROOT));
    const { databaseUrl, redisUrl = null, queuePrefix: prefix = DEFAULT_QUEUE_PREFIX } = config;
    const { leaseMs: lockMs = DEFAULT_LEASE_MS } = config;
    const queue = await openQueue({ databaseUrl, redisUrl, prefix, timing: { lockMs } });
    closers.unshift(() => queue.close());
    const watch = openJobWatch(databaseUrl);
    closers.unshift(() => watch.close());
    const rateLimits = openRateLimits({ databaseUrl, redisUrl });
    closers.unshift(() => rateLimits.close());
    const others = { sources, uploadFiles, queue, watch, rateLimits };
    return assemble(config, { db, auditWriter, blobs, bucketUploads, ...others }, () => closeAll(closers));
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of closers) await close().catch(() => {});
}

/** What a store is connected to. */
interface Parts extends Pick<Store, 'blobs' | 'sources' | 'queue' | 'watch' | 'rateLimits'> {
  readonly db: Connection;
  readonly auditWriter: AuditWriter;
  readonly bucketUploads: BucketUploads | null;
  readonly uploadFiles: UploadFiles;
}

function assemble(
  { maxAttempts = DEFAULT_MAX_ATTEMPTS, leaseMs = DEFAULT_LEASE_MS }: StoreConfig,
  { db, auditWriter, blobs, bucketUploads, sources, uploadFiles, queue, watch, rateLimits }: Parts,
  close: () => Promise<void>,
): Store {
  const queueOutlook = new QueueOutlook(db);
  const jobs = createJobRepository(db, queueOutlook, { maxAttempts, leaseMs });
  const within = (reach: Reach, desk: JobDesk): ProjectStore => ({
    models: createModelRepository(db, blobs, reach),
    datasets: createDatasetRepository(db, blobs, reach),
    artifacts: createArtifactRepository(db, reach),
    jobs: desk,
    events: createEventLog(db, reach),
    audit: createAuditLog(db, auditWriter, reach),
    webhooks: createWebhookRepository(db, reach),
    uploads: createUploadRepository(db, uploadFiles, reach),
    directUploads: bucketUploads?.isOffered ? createDirectUploadRepository(db, bucketUploads, reach) : null,
    storageUse: () => storageUse(db, projectOf(reach)),
    jobMinutesOfDay: (keyId) => jobMinutesOfDay(db, keyId),
    once: createOnceRepository(db, projectOf(reach)),
    submitJob: async (newJob, once) => {
      const job = await desk.create(newJob, once);
      // The row is there: a queue that cannot be reached delays the job until the next reconciliation.
      await queue.add(job.id).catch(() => {});
      return job;
    },
    cancelJob: async (id) => {
      // Deliveries call for any job, so one that waits goes away with each job that waits, and none with one that runs.
      if (await desk.cancelQueued(id)) await queue.remove(id).catch(() => {});
      return desk.cancel(id);
    },
    deleteJob: (id) => deleteJob({ db, blobs, queueOutlook }, reach, id),
  });
  return {
    ...within(ALL_PROJECTS, jobs),
    jobs,
    projects: createProjectRepository(db),
    keys: createKeyRepository(db),
    blobs,
    sources,
    queue,
    watch,
    rateLimits,
    deliveries: createDeliveryQueue(db, queueOutlook),
    inProject: (projectId) => within({ projectId }, createJobDesk(db, queueOutlook, { projectId })),
    reconcile: async () => {
      const swept = await jobs.sweep();
      const waiting = await jobs.listQueued(DISPATCH_GRACE_MS, OFFER_LIMIT);
      const offers = new Set([...swept.requeued, ...waiting]);
      for (const id of offers) await queue.add(id, { first: swept.requeued.includes(id) });
      return { ...swept, offered: offers.size };
    },
    jobCounts: () => jobCounts(db),
    offerNext: async () => {
      for (const id of await nextJobs(db, OFFER_LIMIT)) await queue.add(id);
    },
    sweepBlobs: () => sweepBlobs(db, blobs),
    sweepUploads: async () => (await sweepUploads(db, uploadFiles)) + (await sweepDirectUploads(db, bucketUploads)),
    sweepBucketUploads: async () => (bucketUploads === null ? 0 : sweepBucket(db, bucketUploads)),
    sweepExpired: () => sweepExpired({ db, blobs, queueOutlook }),
    sweepRequests: async () => (await sweepOnceKeys(db)) + (await sweepRateCounts(db)),
    sweepPastRuns: () => sweepPastRuns(db),
    ping: () =>
      Promise.all([
        check('database', () => pingDatabase(db)),
        check('queue', () => queue.ping()),
        check('blobs', () => blobs.ping()),
      ]),
    close,
  };
}

async function check(name: Check['name'], probe: () => Promise<void>): Promise<Check> {
  const startedMs = performance.now();
  const failure = await probe().then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  return { name, ok: failure === null, durationMs: performance.now() - startedMs, message: failure };
}

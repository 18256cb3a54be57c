/** Rows in PostgreSQL, bytes in blob storage, job ids on the queue. Start reading at `store.ts`. */

export type { AuditLog, NewAuditEntry } from './access/audit.js';
export type { KeyRepository, KnownKey, NewKey, ShownKey } from './access/keys.js';
export { type AccessStore, openAccess } from './access/open-access.js';
export type { ProjectRepository } from './access/projects.js';
export type { BlobRange, BlobStorage, StagedBlob, StageOptions } from './blobs/blob-storage.js';
export type { S3Config } from './blobs/s3/s3-config.js';
export { isDatabaseGone } from './database-errors.js';
export {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded-postgres/index.js';
export { EVENTS_PER_READ, type EventLog, type JobEvent } from './events/event-log.js';
export type { JobFollower, JobWatch } from './events/job-watch.js';
export type { JobCounts } from './jobs/job-counts.js';
export type {
  JobClaim,
  JobDesk,
  JobFilter,
  JobRepository,
  NewJob,
  Outcome,
  SweptJobs,
  Worker,
} from './jobs/job-repository.js';
export type { StorageUse } from './limits/quotas.js';
export type { RateLimits, RateState } from './limits/rate-limits.js';
export { logOptions, withoutSecrets } from './log-options.js';
export { deployMigrations } from './migrations/index.js';
export type { Answer, Once, OnceClaim, OnceRepository } from './once/once.js';
export type { ConsumeOptions, Consumer, Delivery, JobQueue } from './queue/job-queue.js';
export type { ArtifactRepository, NewArtifact } from './repositories/artifacts.js';
export type { DatasetRepository, NewDataset } from './repositories/datasets.js';
export { contentKey, type NewFile } from './repositories/files.js';
export type { Created, ModelRepository, NewModel } from './repositories/models.js';
export type { Page, PageRequest } from './repositories/page.js';
export { DEFAULT_PROJECT_ID } from './repositories/reach.js';
export {
  folder,
  integer,
  oneOf,
  readSettings,
  type Setting,
  type Settings,
  SHARED_SETTINGS,
  type SharedConfig,
  text,
  url,
} from './settings.js';
export type { ObjectSources } from './sources/object-sources.js';
export { type Check, openStore, type ProjectStore, type Reconciled, type Store, type StoreConfig } from './store.js';
export { storeConfigOf } from './store-config.js';
export type { Expired } from './sweep-expired.js';
export type { DirectUploadRepository } from './uploads/direct-uploads.js';
export { type HeldUpload, holdUpload } from './uploads/hold-upload.js';
export { UPLOAD_LEASE_MS } from './uploads/upload-locks.js';
export type { UploadLimits } from './uploads/upload-room.js';
export type { Upload, UploadRepository } from './uploads/uploads.js';
export type { AttemptResult, DeliveryQueue, DueDelivery } from './webhooks/deliveries.js';
export { isPublicAddress, lookupPublic, RefusedAddress } from './webhooks/public-address.js';
export type { WebhookRepository } from './webhooks/webhooks.js';

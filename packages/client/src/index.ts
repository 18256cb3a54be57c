/** A client of the service for Node 20 and later. Start at `tritforge-client.ts`. */
export { type Artifact, type Job, TritforgeError } from '@tritforge/contracts';
export type { Artifacts } from './artifacts.js';
export type { Datasets } from './datasets.js';
export type { DownloadOptions } from './files/download-file.js';
export type { DatasetFile, ModelFiles, NamedFile } from './files/sources.js';
export type { JobFilter, Jobs } from './jobs/jobs.js';
export type { NewJob } from './jobs/new-job.js';
export type { WaitOptions } from './jobs/wait-for-job.js';
export type { Models } from './models.js';
export type { CallOptions, ClientOptions, PostOptions, UploadProgress } from './options.js';
export type { PageOptions } from './pages.js';
export { ProblemError } from './problem-error.js';
export { TritforgeClient } from './tritforge-client.js';

import type { JobQueue, ProjectStore, Store } from '@tritforge/store';
import type { ApiConfig } from './config.js';
import type { Inspector } from './inspector.js';
import type { KnownInputs } from './routes/jobs/known-inputs.js';
import type { PassedChecks } from './uploads/passed-checks.js';
import type { UploadDesk } from './uploads/upload-desk.js';

/** The store without what reaches across projects: resources are those of whoever asks (see plugins/authentication.ts). */
export type ServiceStore = Pick<
  Store,
  'audit' | 'blobs' | 'jobCounts' | 'inProject' | 'keys' | 'ping' | 'projects' | 'rateLimits' | 'sources' | 'watch'
> & { readonly queue: Pick<JobQueue, 'onRedis'> };

/** What the service runs on. */
export interface ApiDeps {
  readonly store: ServiceStore;
  readonly inspector: Inspector;
  readonly config: ApiConfig;
}

/** What uploads and jobs are checked with: resources of the project of whoever asks. */
export interface CheckDeps {
  readonly store: ProjectStore;
  readonly inspector: Inspector;
}

/** What routes work with. */
export interface RouteDeps extends ApiDeps {
  readonly uploads: UploadDesk;
  /** Datasets that fit the inputs of models. */
  readonly fits: PassedChecks;
  /** What jobs are checked against. */
  readonly inputs: KnownInputs;
}

/** What jobs are checked with. */
export type JobCheckDeps = CheckDeps & Pick<RouteDeps, 'fits'>;
